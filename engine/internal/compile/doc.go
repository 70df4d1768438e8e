// Package compile turns modules into a [Policy] that can be evaluated, in time proportional to the edit, not
// to the number of modules.
//
// OPA's compiler compiles everything on every change. Here, packages that an edit can affect are compiled by
// small compilers, and their rules are spliced into a copy of the previous policy's rule tree. Evaluation
// finds rules through that tree alone, so it cannot tell a spliced policy from one compiled as a whole;
// OPA's conformance cases and a differential test against [CompileWhole] hold it to that.
//
// The door is [Build]. Its way through the files: change.go (what an edit affects, wave by wave), graphs.go
// (before and after), order.go (which packages can be compiled next), stubs.go (stand-ins for what they
// refer to), compiled.go (what a compiler made of one package), splice.go and ruletree.go (the next policy),
// policy.go, conflicts.go (rules against data). explain.go finds the packages that can have an error, whole.go
// compiles everything as one, and repair.go keeps the errors that no other error causes. path.go checks the path
// of a question, affected.go finds what tests to run after an edit.
//
// # Invariants
//
//  1. A [Policy] never changes. A compiler that a policy holds compiles nothing again, since compiling
//     writes into it. What two policies share is only read.
//  2. Modules are shared between generations; compilers copy them before they change them.
//  3. A package is compiled again if one of its modules changed, if it is entangled with such a package
//     (rules of both lie at shared places, before or after the edit), if it reads a chain of metadata that
//     a changed package is part of, or if it refers to a place whose signature changed. A signature is what
//     others can see of the rules at a place: kind, arity, type. No other package's compiled form depends
//     on the edit.
//  4. A package is compiled against stubs of rules in settled packages. A package is settled if it was compiled
//     in this edit already, or if it did not change and refers, directly or through others, to nothing that
//     changed, in the graph before and in the graph after the edit: a removed package is in the one alone, an added
//     one in the other. What refers to more than stubs can stand for (a package as a whole, a rule that a variable picks)
//     or uses with or metadata chains is compiled together with all that it refers to.
//  5. Whatever does not compile against stubs is compiled with its closure before it counts as an error, and
//     errors are reported from one set of packages: all that can have one. So an author reads OPA's
//     messages, never a stub's name, and the order of compilation cannot change a message.
//  6. An error that lies between packages is seen by something that has all of them. Packages that refer to
//     each other in a circle are compiled with their closure, by one compiler, so recursion is found.
//     Entangled packages are compiled together, so conflicts between them are. Callers of a function that
//     is gone refer to a place whose signature changed. New data is compared with the whole rule tree.
//  7. If it cannot be shown that splicing is safe (see [unit.Graph.WhyWhole] and [Policy.WhyWhole]),
//     [CompileWhole] compiles everything as one. Few policies need it: their rules or packages have unusual
//     names, or one below data.system is read together with all of data, or one compiles only because of a with
//     that it does not refer to.
//
// # Example
//
// Four packages, of one module each:
//
//	lib     is_admin(u) if u.role == "admin"      limit := 10
//	team    allow if data.lib.is_admin(input.user)
//	quota   allow if input.n < data.lib.limit
//	report  all := {"team": data.team.allow, "quota": data.quota.allow}
//
//	before:   report ──▶ team ───▶ lib
//	              └────▶ quota ────┘
//
// TestTheExampleOfThePackageComment holds what follows to the code.
//
// Edit 1 changes the body of is_admin: u.role in {"admin", "root"}. The first wave is {lib}. It refers to
// nothing, so it is compiled alone. Its signature is the same: is_admin is still a function of one argument
// with the same types, limit is still a number. So there is no second wave. The next policy's tree copies
// the nodes data and lib, with lib's rules, and shares team, quota and report with the previous one.
//
// Edit 2 makes limit a string, "ten". The first wave is {lib} again, and now the type of data.lib.limit has
// changed. The packages that refer to a place at, above or below data.lib.limit are the second wave: {quota}.
// team refers to data.lib.is_admin, which is another place, so it stays. quota is compiled against a stub of
// limit whose type is string; input.n is of any type, so it compiles, and its own signature is the same. If
// it were not, report would be the third wave.
//
//	wave 1: lib      wave 2: quota (against a stub of data.lib.limit)      shared: team, report
//
// Edit 3 removes limit. The second wave is {quota}; data.lib.limit is now undefined, which is no error in
// Rego, so the edit serves. Had quota called a function of lib that is gone, it would not compile. Then
// explain walks the waves once more, each time with one compiler over all packages so far and their closure:
// {lib}, then {lib, quota}. The error that the author reads is the one that compiling everything finds.
package compile
