// Asks a running sidecar through one of OPA's own clients, as their users do: node clients.mjs PACKAGE STATE
// PACKAGE is the client's name, STATE the sidecar's data directory. The policy is in clients.txt.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

const [name, state] = process.argv.slice(2);
const { OPAClient } = await import(name);
const { HTTPClient } = await import(`${name}/lib/http`);
const { OpaApiClient } = await import(`${name}/sdk/index`);
const errors = await import(`${name}/sdk/models/errors`);

const url = `http://${JSON.parse(readFileSync(join(state, 'gateway.json'), 'utf8')).api_addr}`;
const token = readFileSync(join(state, '.env'), 'utf8').trim().split('=')[1];
const bearer = { headers: { Authorization: `Bearer ${token}` } };
const opa = new OPAClient(url, bearer);

// refused is the error with which a promise ends, of the class that it must have.
async function refused(promise, kind) {
  const error = await promise.then(() => assert.fail('it was not refused'), (e) => e);
  assert.ok(error instanceof kind, `${error?.name}: ${error?.message}`);
  return error;
}

test('a boolean is decided by the input', async () => {
  assert.equal(await opa.evaluate('app/allow', { user: 'ada' }), true);
  assert.equal(await opa.evaluate('app/allow', { user: 'bob' }), false);
  assert.equal(await opa.evaluate('app/allow'), false);
});

test('every kind of value arrives as it is', async () => {
  assert.deepEqual(await opa.evaluate('app/echo', { in: [1.5, 'ü<&>', null, { a: [] }] }), [1.5, 'ü<&>', null, { a: [] }]);
  for (const value of [false, 0, '', [], {}]) { // of null, the clients themselves say that it is no result
    assert.deepEqual(await opa.evaluate('app/echo', { in: value }), value);
  }
  assert.deepEqual(await opa.evaluate('app/roles', { user: 'ada' }), ['admin', 'dev']); // a set
  const long = 'long '.repeat(10_000); // which comes compressed
  assert.equal(await opa.evaluate('app/echo', { in: long }), long);
});

test('an input need not be an object', async () => {
  assert.equal(await opa.evaluate('app/whole', 'text'), 'text');
  assert.deepEqual(await opa.evaluate('app/whole', [1, true]), [1, true]);
  assert.equal(await opa.evaluate('app/whole', false), false);
});

test('a result may be converted, and an input may convert itself', async () => {
  const fromResult = (r) => r?.allowed ?? false;
  assert.equal(await opa.evaluate('app/decision', { user: 'ada' }, { fromResult }), true);
  assert.equal(await opa.evaluate('app/no_such', { user: 'ada' }, { fromResult }), false);
  assert.equal(await opa.evaluate('app/allow', { toInput: () => ({ user: 'ada' }) }), true);
});

test('what is undefined or does not exist is undefined', async () => {
  for (const path of ['app/undefined', 'app/no_such', 'no_such/package', 'no_such']) {
    assert.equal(await opa.evaluate(path, {}), undefined);
    assert.equal(await opa.evaluate(path), undefined);
  }
});

test('a path names data, percent-encoded where it must be', async () => {
  for (const [path, want] of Object.entries({ 'odd/a b': 1, 'odd/a%2Fb': 2, 'odd/ü': 3, 'odd/a.b': 4, 'odd/+': 5, 'odd/list/0/k': 'v', 'dashed/foo-bar/v': 7 })) {
    assert.equal(await opa.evaluate(path), want, path);
    assert.equal(await opa.evaluate(path, {}), want, path);
  }
});

test('the default decision is system.main', async () => {
  assert.deepEqual(await opa.evaluateDefault({ who: 'me' }), { who: 'me' });
  assert.equal(await opa.evaluateDefault({ who: 'me' }, { fromResult: (r) => r.who }), 'me');
  assert.deepEqual(await opa.evaluateDefault({ toInput: () => ({ who: 'you' }) }), { who: 'you' });
  const error = await refused(opa.evaluateDefault(), errors.ClientError); // undefined
  assert.equal(error.code, 'undefined_document');
});

test('a batch decides each of its inputs', async () => {
  assert.deepEqual(await opa.evaluateBatch('app/allow', { a: { user: 'ada' }, b: { user: 'bob' }, c: { toInput: () => ({ user: 'ada' }) } }), { a: true, b: false, c: true });
  assert.deepEqual(await opa.evaluateBatch('app/decision', { a: { user: 'ada' } }, { fromResult: (r) => r.allowed }), { a: true });
  assert.deepEqual(await opa.evaluateBatch('app/undefined', { a: {} }), { a: undefined });
  assert.deepEqual(await opa.evaluateBatch('app/allow', {}), {});
  assert.deepEqual(await opa.evaluateBatch('odd/a b', { a: {} }), { a: 1 });
});

test('a batch of which some could not be decided says which, and why', async () => {
  const inputs = { good: { zero: 4 }, bad: { zero: 0 } };
  const { good, bad } = await opa.evaluateBatch('app/divided', inputs);
  assert.equal(good, 0.25);
  assert.equal(bad.httpStatusCode, '500');
  assert.equal(bad.code, 'internal_error');
  assert.equal(bad.errors[0].code, 'eval_conflict_error');
  assert.match(bad.errors[0].message, /conflicting values/);
  const rejected = await opa.evaluateBatch('app/divided', inputs, { rejectMixed: true }).then(() => undefined, (e) => e);
  assert.equal(rejected?.code, 'internal_error');
});

test('a batch of which none could be decided is an error that holds each of theirs', async () => {
  const error = await refused(opa.evaluateBatch('app/divided', { a: { zero: 0 }, b: { zero: 0 } }), errors.BatchServerError);
  assert.deepEqual(Object.keys(error.responses).sort(), ['a', 'b']);
  assert.equal(error.responses.a.errors[0].code, 'eval_conflict_error');
  assert.ok(error.batchDecisionId);
});

test('an evaluation that fails is a ServerError with its place', async () => {
  const error = await refused(opa.evaluate('app/conflict', {}), errors.ServerError);
  assert.equal(error.code, 'internal_error');
  assert.equal(error.errors[0].code, 'eval_conflict_error');
  assert.equal(error.errors[0].location.file, 'app.rego');
  assert.ok(error.errors[0].location.row > 1);
});

test('a body that cannot be read is a ClientError', async () => {
  const httpClient = new HTTPClient();
  httpClient.addHook('beforeRequest', (r) => new Request(r.url, { method: r.method, headers: r.headers, body: '{"input":' }));
  const broken = new OPAClient(url, { ...bearer, sdk: { httpClient } });
  for (const ask of [(c) => c.evaluate('app/allow', {}), (c) => c.evaluateBatch('app/allow', { a: {} }), (c) => c.evaluateDefault({})]) {
    const error = await refused(ask(broken), errors.ClientError);
    assert.equal(error.code, 'invalid_parameter');
  }
});

test('the token is accepted in each of three headers, and without it the answer is 401', async () => {
  for (const headers of [{ 'X-DefenseClaw-Token': token }, { 'X-DC-Auth': `Bearer ${token}` }]) {
    assert.equal(await new OPAClient(url, { headers }).evaluate('app/allow', { user: 'ada' }), true);
  }
  assert.equal(await new OPAClient(url, { sdk: { bearerAuth: token } }).evaluate('app/allow', { user: 'ada' }), true);
  for (const stranger of [new OPAClient(url), new OPAClient(url, { headers: { Authorization: 'Bearer wrong' } })]) {
    for (const ask of [(c) => c.evaluate('app/allow', { user: 'ada' }), (c) => c.evaluate('app/allow'), (c) => c.evaluateDefault({}), (c) => c.evaluateBatch('app/allow', { a: {} })]) {
      const error = await refused(ask(stranger), errors.SDKError);
      assert.equal(error.httpMeta.response.status, 401);
    }
  }
});

test('headers of the caller reach the policy and come back', async () => {
  const caller = new OPAClient(url, { headers: { ...bearer.headers, 'X-Request-Id': 'mine' } });
  assert.equal(await caller.evaluate('app/allow', { user: 'ada' }), true);
  const low = new OpaApiClient({ serverURL: url, bearerAuth: token });
  const { httpMeta } = await low.executePolicyWithInput({ path: 'app/allow', requestBody: { input: {} } }, { fetchOptions: { headers: { 'X-Request-Id': 'mine' } } });
  assert.equal(httpMeta.response.headers.get('X-DefenseClaw-Request-Id'), 'mine');
  assert.equal(httpMeta.response.headers.get('X-DefenseClaw-Generation'), '1');
});

test('the low-level client reads provenance, metrics and the explanation', async () => {
  const low = new OpaApiClient({ serverURL: url, bearerAuth: token });
  const request = { path: 'app/allow', requestBody: { input: { user: 'ada' } }, provenance: true, metrics: true, instrument: true, pretty: true, explain: 'full', strictBuiltinErrors: true };
  const { successfulPolicyResponse: answer } = await low.executePolicyWithInput(request);
  assert.equal(answer.result, true);
  assert.ok(answer.decisionId);
  assert.match(answer.provenance.bundles.defenseclaw.revision, /^sha256:/);
  assert.ok(answer.metrics.timer_server_handler_ns > 0);
  const { successfulPolicyResponse: none } = await low.executePolicy({ path: 'app/allow', provenance: true, metrics: true });
  assert.equal(none.result, false);
  assert.ok(none.provenance.version);
});

test('a rule becomes filters for a database', async () => {
  const ask = (target, input) => opa.getFilters('filters/include', input, { target });
  if (name === '@styra/opa') { // it asks for types of answers that OPA never had
    const error = await refused(ask('postgresql', { user: 'bob' }), errors.ClientError);
    assert.match(error.message, /unsupported header: application\/vnd\.styra\./);
    return;
  }
  const masks = { rows: { card: { replace: { value: '*' } } } };
  assert.deepEqual(await ask('postgresql', { user: 'bob' }), { query: "WHERE rows.owner = E'bob'", masks });
  assert.deepEqual(await ask('sqlite', { user: 'bob' }), { query: "WHERE rows.owner = 'bob'", masks });
  assert.deepEqual(await ask('ucastALL', { user: 'bob' }), { query: { type: 'field', operator: 'eq', field: 'rows.owner', value: 'bob' }, masks });
  assert.deepEqual((await opa.getFilters('filters/include', { user: 'bob' }, 'rows')).query, { owner: { equals: 'bob' } });
  const mapped = await opa.getFilters('filters/include', { user: 'bob' }, { target: 'mysql', tableMappings: { rows: { $self: 'ROWS', owner: 'OWNER' } } });
  assert.equal(mapped.query, "WHERE ROWS.OWNER = 'bob'");
  const several = await opa.getMultipleFilters('filters/include', { user: 'bob' }, { targets: ['sqlite', 'ucastPrisma'] });
  assert.equal(several.sqlite.query, "WHERE rows.owner = 'bob'");
  assert.deepEqual(several.ucast.masks, masks);
  await assert.rejects(opa.getFilters('filters/none', { user: 'bob' }, { target: 'mysql', unknowns: ['input.rows'] }), /No result for target mysql/);
});

test('it is healthy', async () => {
  const low = new OpaApiClient({ serverURL: url });
  assert.equal((await low.health()).httpMeta.response.status, 200);
  assert.equal((await low.health(true, true)).httpMeta.response.status, 200);
});
