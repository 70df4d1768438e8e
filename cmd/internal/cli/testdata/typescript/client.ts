// Asks a running sidecar through a client that is generated from openapi.yaml, as an application in TypeScript does:
// node out/client.js STATE. STATE is the sidecar's data directory; the policy is in typescript.txt.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import createClient from 'openapi-fetch';
import type { components, paths } from './api.d.ts';

const state = process.argv[2] ?? '';
const { api_addr } = JSON.parse(readFileSync(join(state, 'gateway.json'), 'utf8')) as { api_addr: string };
const token = readFileSync(join(state, '.env'), 'utf8').trim().split('=')[1];
const headers = { Authorization: `Bearer ${token}`, 'X-DefenseClaw-Client': 'typescript' };
const api = createClient<paths>({ baseUrl: `http://${api_addr}`, headers });

type Warning = components['schemas']['Warning'];

async function decide(path: string, input: unknown): Promise<{ result?: unknown; warning?: Warning }> {
  const { data, error, response } = await api.POST('/v1/data/{path}', { params: { path: { path } }, body: { input } });
  assert.equal(error, undefined);
  assert.equal(response.status, 200);
  assert.ok(data?.decision_id);
  return data;
}

test('a path with slashes is decided as it is written', async () => {
  for (const [path, want] of Object.entries({ 'app/roles/allow': true, 'dashed/foo-bar/v': 7, 'odd/a b': 1, 'odd/ü': 3, 'odd/list/0/k': 'v' })) {
    assert.deepEqual((await decide(path, { user: 'ada' })).result, want, path);
  }
  assert.equal((await decide('app/roles/allow', { user: 'bob' })).result, false);
});

test('a client that does not encode the slashes gets the same', async () => {
  const plain = createClient<paths>({ baseUrl: `http://${api_addr}`, headers, pathSerializer: (pathname, params) => pathname.replace('{path}', String(params['path'])) });
  const { data } = await plain.GET('/v1/data/{path}', { params: { path: { path: 'app/roles/allow' }, query: { input: '{"user":"ada"}' } } });
  assert.equal(data?.result, true);
});

test('a name with a slash stays a name', async () => {
  const whole = createClient<paths>({ baseUrl: `http://${api_addr}`, headers, pathSerializer: (pathname, params) => pathname.replace('{path}', String(params['path'])) });
  const { data: named } = await whole.GET('/v1/data/{path}', { params: { path: { path: 'odd/a%2Fb' } } });
  assert.equal(named?.result, 2);
});

test('undefined has no result, and a path at which there is nothing a warning', async () => {
  assert.deepEqual(Object.keys(await decide('app/roles/never', {})), ['decision_id']);
  const { result, warning } = await decide('app/roles/alow', {});
  assert.equal(result, undefined);
  assert.equal(warning?.code, 'path_not_found');
  assert.match(warning.message, /did you mean data\.app\.roles\.allow\?$/);
});

test('a path that no policy can have is a 400 that names it', async () => {
  const { error, response } = await api.POST('/v1/data/{path}', { params: { path: { path: 'app/a"b' } }, body: {} });
  assert.equal(response.status, 400);
  assert.ok(error && 'code' in error);
  assert.equal(error.code, 'invalid_parameter');
  assert.match(error.message, /invalid ref term 'app\/a"b'/);
});

test('the other paths with slashes come out right', async () => {
  const batch = await api.POST('/v1/batch/data/{path}', { params: { path: { path: 'app/roles/allow' } }, body: { inputs: { a: { user: 'ada' }, b: { user: 'bob' } } } });
  const results = Object.fromEntries(Object.entries(batch.data?.responses ?? {}).map(([name, r]) => [name, 'result' in r ? r.result : undefined]));
  assert.deepEqual(results, { a: true, b: false });
  const older = await api.POST('/v0/data/{path}', { params: { path: { path: 'app/roles/allow' } }, body: { user: 'ada' } });
  assert.equal(older.data, true);
  const module = await api.GET('/v1/policies/{path}', { params: { path: { path: 'lib/roles.rego' } } });
  assert.match(JSON.stringify(module.data), /lib\/roles\.rego/);
  const file = await api.GET('/policy/files/{path}', { params: { path: { path: 'lib/roles.rego' } }, parseAs: 'text' });
  assert.equal(file.response.status, 200);
});

test('what serves is told with types', async () => {
  const { data } = await api.GET('/policy/status');
  assert.ok(data);
  const generation: number = data.generation;
  assert.equal(generation, 1);
  const { data: reloaded } = await api.POST('/policy/reload', { params: { header: { 'X-DefenseClaw-Client': 'typescript' } } });
  assert.equal(reloaded?.status, 'reloaded');
});

test('an error has its type', async () => {
  const stranger = createClient<paths>({ baseUrl: `http://${api_addr}` });
  const { error, response } = await stranger.GET('/policy/status');
  assert.equal(response.status, 401);
  assert.ok(error);
});
