// Package eval answers questions by one compiled policy and its data. An [Evaluator] is made once for a
// generation, and belongs to it.
//
// [Evaluator.Evaluate] is the way of nearly every decision: limiter.go (a slot for it), plan.go (the prepared
// query of its path), program.go or prepared.go (how that is evaluated), deadline.go (until when). A path that is asked
// for again and again gets a program (package plan below), made by [Evaluator.Compile] while decisions go on, which
// decides as long as it is found to be right and faster than OPA's evaluator. [Evaluator.Observe] is the slow way, with OPA's own
// preparation, for traces and for errors with their stack.
//
// # Invariants
//
//  1. An evaluation uses one policy and one document of data, from beginning to end. It waits for no reload,
//     and takes no lock that one holds.
//  2. The policy's compiler and data are only read. OPA's planner writes into the compiler that it is given, so that is
//     a copy each time.
//  3. A program's answer is that of OPA's evaluator, or it has none: then the evaluator decides, with the same deadline.
//     A program that is found to differ is not used again, and one that is slower neither.
//  4. Evaluations that run at once are bounded over all generations, and no plan may take more than three
//     quarters of the slots, so a path that computes until its deadline leaves slots to others. Nor may a
//     requester, where it is known who asks: two paths may end at one slow rule, and paths cost a caller nothing.
//  5. The number of plans is bounded, since paths come from callers.
//  6. Both modes share plans and programs: a builtin that fails is an error of the decision or undefined, as its mode
//     says, whichever way it is made.
//
// # Example
//
// A policy, and data with 1,000 users:
//
//	package p
//	admins := {name | some name, u in data.users; u.role == "admin"}
//	allow if input.user in admins
//	other if input.user in admins with data.users as {"u1": {"role": "admin"}}
//
// TestTheExampleOfThePackageComment holds what follows to the code.
//
// The first decision for p/allow prepares its plan, the query data.p.allow = value. Each decision evaluates admins anew,
// since OPA's cache of rules lives as long as one query. The 32nd decision makes the path hot: [Config].OnHot hands it to the
// engine, which calls Compile in a goroutine of its own. From then on a program decides. admins depends on the data alone, so
// the program makes it once, at the next decision, and those after it cost a look-up in a set of 20 names.
//
// The program of p/other evaluates admins as well, and does not see that value: what is kept holds for the data of the
// generation, and below the with there is other data.
//
// An edit of any file makes a new generation with a new Evaluator. It takes the program over, since its modules are the
// same ([Evaluator.TakeOver]); where they are not, it compiles them.
package eval
