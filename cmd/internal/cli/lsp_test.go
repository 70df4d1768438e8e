//go:build linux

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// neovim is what an author does in Neovim, whose own client speaks to the server. What it finds goes to standard error.
const neovim = `
local function say(...) io.stderr:write(table.concat({...}, ' ') .. '\n') end
local pack = vim.env.PACK
vim.cmd('edit ' .. pack .. '/p.rego')
local client = vim.lsp.start_client({ name = 'defenseclaw', cmd = { vim.env.PROGRAM, 'lsp', '--stdio' }, root_dir = pack })
vim.lsp.buf_attach_client(0, client)
local function wait(what, done)
  if not vim.wait(60000, done, 20) then say('TIMED OUT waiting for', what); vim.cmd('cquit') end
end
local function at(line, character)
  return { textDocument = vim.lsp.util.make_text_document_params(), position = { line = line, character = character } }
end
local function ask(method, params)
  local answers, problem = vim.lsp.buf_request_sync(0, method, params, 60000)
  if not answers or not answers[client] then say(method, 'has no answer', problem or ''); vim.cmd('cquit') end
  return answers[client].result
end
wait('the client', function() return vim.lsp.buf_get_clients(0)[client] ~= nil and vim.lsp.get_client_by_id(client).initialized end)
vim.api.nvim_buf_set_lines(0, 4, 5, false, { 'allow if input.user == nobody' })
wait('a diagnostic', function() return #vim.diagnostic.get(0) > 0 end)
say('diagnostic', vim.diagnostic.get(0)[1].lnum, (vim.diagnostic.get(0)[1].message:gsub('\n.*', '')))
vim.api.nvim_buf_set_lines(0, 4, 5, false, { 'allow if input.user == owner' })
wait('no diagnostic', function() return #vim.diagnostic.get(0) == 0 end)
say('hover', (ask('textDocument/hover', at(4, 25)).contents.value:gsub('\n', ' ')))
local place = ask('textDocument/definition', at(4, 25))
say('definition', place[1].range.start.line)
local edit = ask('textDocument/rename', vim.tbl_extend('force', at(4, 25), { newName = 'boss' }))
vim.lsp.util.apply_workspace_edit(edit, 'utf-16')
say('renamed', vim.api.nvim_buf_get_lines(0, 4, 5, false)[1], vim.api.nvim_buf_get_lines(0, 6, 7, false)[1])
vim.api.nvim_buf_set_lines(0, 6, 7, false, { 'boss   :=   "ann"' })
vim.lsp.util.apply_text_edits(ask('textDocument/formatting', { textDocument = vim.lsp.util.make_text_document_params(), options = { tabSize = 4, insertSpaces = false } }), 0, 'utf-16')
say('formatted', vim.api.nvim_buf_get_lines(0, 6, 7, false)[1])
vim.lsp.stop_client(client)
wait('the end', function() return vim.lsp.client_is_stopped(client) end)
vim.cmd('qall!')
`

func TestNeovimSpeaksToTheLanguageServer(t *testing.T) {
	nvim, err := exec.LookPath("nvim")
	if err != nil {
		t.Skip("THE LANGUAGE SERVER IS NOT TRIED WITH AN EDITOR: nvim is not installed")
	}
	home := t.TempDir()
	pack, script := filepath.Join(home, "pack"), filepath.Join(home, "author.lua")
	if err := os.Mkdir(pack, 0o700); err != nil {
		t.Fatal(err)
	}
	const policy = "package p\n\ndefault allow := false\n\nallow if input.user == owner\n\nowner := \"ann\"\n"
	for file, text := range map[string]string{filepath.Join(pack, "p.rego"): policy, script: neovim} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	editor := exec.CommandContext(t.Context(), nvim, "--headless", "--clean", "-n", "-i", "NONE", "-c", "luafile "+script)
	editor.Env = append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+home, "XDG_DATA_HOME="+home, "DEFENSECLAW_HOME="+filepath.Join(home, "state"),
		"PACK="+pack, "PROGRAM="+program(t))
	said, err := editor.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%s", err, said)
	}
	for _, want := range []string{
		"diagnostic 4 var nobody is unsafe", "hover ```rego data.p.owner ```", "definition 6",
		"renamed allow if input.user == boss boss := \"ann\"", "formatted boss := \"ann\"",
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}
