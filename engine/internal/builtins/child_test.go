package builtins_test

// childEnv names the part of the tests that a child process runs.
const childEnv = "BUILTINS_TEST_CHILD"

var children = map[string]func() int{}
