package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
)

// The scripts ask the program for completions, with the flag that urfave/cli provides.
const bashCompletion = `# Completion of %[1]s for bash. Load it: source <(%[1]s completion bash)
_%[2]s_complete() {
	local words=("${COMP_WORDS[@]:0:$COMP_CWORD}") current="${COMP_WORDS[COMP_CWORD]}"
	[[ "$current" == -* ]] && words+=("$current")
	local IFS=$'\n'
	COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$current"))
}
complete -o default -F _%[2]s_complete %[1]s
`

const zshCompletion = `#compdef %[1]s
# Completion of %[1]s for zsh. Load it: source <(%[1]s completion zsh)
_%[2]s_complete() {
	local -a found
	local current="${words[CURRENT]}"
	if [[ "$current" == -* ]]; then
		found=("${(@f)$("${words[@]:0:CURRENT}" --generate-bash-completion 2>/dev/null)}")
	else
		found=("${(@f)$("${words[@]:0:CURRENT-1}" --generate-bash-completion 2>/dev/null)}")
	fi
	[[ -n "${found[1]}" ]] && compadd -a found || _files
}
compdef _%[2]s_complete %[1]s
`

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:         "completion",
		Usage:        "print the completion script for a shell",
		ArgsUsage:    "bash|zsh|fish",
		OnUsageError: usageError,
		BashComplete: func(c *cli.Context) { fmt.Fprintln(c.App.Writer, "bash\nzsh\nfish") },
		Action: func(c *cli.Context) error {
			name := filepath.Base(os.Args[0]) // the program has two names
			word := shellWord(name)
			var script string
			switch c.Args().First() {
			case "bash":
				script = fmt.Sprintf(bashCompletion, name, word)
			case "zsh":
				script = fmt.Sprintf(zshCompletion, name, word)
			case "fish":
				c.App.Name = name
				fish, err := c.App.ToFishCompletion()
				if err != nil {
					return err
				}
				script = fish
			default:
				return fmt.Errorf("the shell is %q: expected bash, zsh or fish", c.Args().First())
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}

// shellWord turns a program's name into a valid name of a shell function.
func shellWord(name string) string {
	word := []byte(name)
	for i, b := range word {
		if b == '-' || b == '.' {
			word[i] = '_'
		}
	}
	return string(word)
}
