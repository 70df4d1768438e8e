// Package observe follows a channel for people who look: what it asks for, how far its agents are, how its rollout goes, and what agents served in the
// last hour. An [Observer] asks the broker every half minute, and at once when somebody looks: it holds no consumer and no subscription, and needs the
// rights of an observer only. What it says of an agent is what the agent said last.
package observe
