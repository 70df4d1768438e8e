// Package eval answers questions by one compiled policy and its data. An [Evaluator] is made once for a
// generation, and belongs to it.
//
// [Evaluator.Evaluate] is the way of nearly every decision: limiter.go (a slot for it), plan.go (the prepared
// query of its path), program.go or tier.go (how that is evaluated), deadline.go (until when). A path that is asked for
// again and again gets a program (package plan below), which decides as long as it is found to be right and faster than
// the tier. A path that is asked for often gets a second tier, made by [Evaluator.Ahead] while decisions go on: partial.go evaluates it as far as
// it depends on the data alone, where partialsafe.go can show that this changes no answer and no error;
// otherwise constants.go evaluates the rules that depend on the data alone. [Evaluator.Observe] is the slow way,
// with OPA's own preparation, for traces and for errors with their stack.
//
// # Invariants
//
//  1. An evaluation uses one policy and one document of data, from beginning to end. It waits for no reload,
//     and takes no lock that one holds.
//  2. The policy's compiler and data are only read. What a partial evaluation leaves has to be compiled, which
//     writes into a compiler; so that is a new one each time.
//  3. All tiers of a path give the same values and fail alike. A second tier exists only where it is shown to
//     do so; without it, decisions are made by the first.
//  4. Evaluations that run at once are bounded over all generations, and no plan may take more than three
//     quarters of the slots, so a path that computes until its deadline leaves slots to others. Nor may a
//     requester, where it is known who asks: two paths may end at one slow rule, and paths cost a caller nothing.
//  5. The number of plans is bounded, since paths come from callers.
//  6. A program's answer is OPA's, or it has none: then the tier decides, with the same deadline. A program that is
//     found to differ is not used again, and one that is slower neither.
//  7. Both modes share plans and tiers. A second tier is made strictly, so it exists only where no builtin fails
//     that it has evaluated, and what is left to the decisions fails or is undefined as the mode says.
//
// # Example
//
// A policy, and data with 1,000 users:
//
//	package p
//	admins := {name | some name, u in data.users; u.role == "admin"}
//	allow if input.user in admins
//	audit if lower(input.user) in admins
//
// TestTheExampleOfThePackageComment holds what follows to the code.
//
// The first decision for p/allow prepares its plan, whose first tier is the query data.p.allow = value. Each
// decision evaluates admins anew, since OPA's cache of rules lives as long as one query. The 500th decision
// makes the path hot (the 32nd made its program, which is left aside here): [Config].OnHot hands it to the engine, which calls Ahead in a goroutine of its own. allow calls
// nothing that may fail on what the input holds, and the comprehension is in a rule that does not depend on the
// input. So Ahead evaluates the query partially: what is left is one rule that looks input.user up in a set of
// 20 names, and the next decision costs that lookup.
//
// audit calls lower, which is an error for an input that is no string. A partial evaluation might lose that
// error (partialsafe.go), so there is none. But admins depends on the data alone: Ahead evaluates it once, and
// stores a tier that has it in its rule cache from the start. A rule that says "with data.users as" does not
// see the cached value: a frame of the cache that a with pushed has no constants.
//
// An edit of any file makes a new generation with a new Evaluator, whose paths begin with the first tier.
package eval
