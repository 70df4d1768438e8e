// Package access says what each user of a fleet's broker may do there, as the rules of NATS, and keeps the users of the broker
// of small sites in a file.
package access

import (
	"fmt"
	"slices"
	"strings"

	"defenseclaw/watcher/fleet/record"
)

// Role is what a user of the broker is for.
type Role string

// The roles.
const (
	Agent      Role = "agent"      // follows one channel, and acknowledges under one name
	Publisher  Role = "publisher"  // makes streams, publishes, reads acknowledgements
	Controller Role = "controller" // moves records between releases, reads acknowledgements
	Observer   Role = "observer"   // reads records and acknowledgements, and writes nothing
)

// Roles are all roles.
func Roles() []Role { return []Role{Agent, Publisher, Controller, Observer} }

// User is who connects.
type User struct {
	Role    Role
	Name    string // of an agent: its id
	Channel string // of an agent
	Key     string // its public key, as nkeys has it: U…
}

// Check says what is wrong with a user.
func (u User) Check() error {
	if !slices.Contains(Roles(), u.Role) {
		return fmt.Errorf("the role is %q: agent, publisher, controller or observer was expected", u.Role)
	}
	if err := record.CheckName("the user", u.Name); err != nil {
		return err
	}
	if u.Role == Agent {
		return record.CheckName("the channel of agent "+u.Name, u.Channel)
	}
	if u.Channel != "" {
		return fmt.Errorf("%s %s has a channel: only agents have", u.Role, u.Name)
	}
	return nil
}

// Rules are the subjects that a user may publish and subscribe to. All others are refused.
type Rules struct{ Publish, Subscribe []string }

// Rules of a user. domain is the JetStream domain, empty if it is the broker's own.
func (u User) Rules(domain string) Rules {
	api, buckets := "$JS.API.", ""
	if domain != "" {
		api = "$JS." + domain + ".API."
		buckets = api
	}
	if u.Role == Agent {
		return Rules{
			Publish: []string{
				record.AckSubject(u.Channel, u.Name), api + "DIRECT.GET." + record.Stream + "." + record.Subject(u.Channel),
				api + "DIRECT.GET." + record.Objects + "." + record.ObjectSubjects,
			},
			Subscribe: []string{"_INBOX." + u.Name + ".>", record.AnnounceSubject(u.Channel)},
		}
	}
	if u.Role == Observer {
		return Rules{
			// No consumer: one that delivers could be told to deliver to any subject.
			Publish: []string{
				api + "STREAM.INFO." + record.Acks, api + "STREAM.MSG.GET." + record.Stream,
				api + "DIRECT.GET." + record.Acks, api + "DIRECT.GET." + record.Acks + ".>",
			},
			Subscribe: []string{record.ObserverInbox + ".>"},
		}
	}
	r := Rules{Publish: []string{buckets + record.Subject(">"), record.ControllerSubject(">"), api + "INFO"}, Subscribe: []string{"_INBOX.>", record.AnnounceSubject(">")}}
	for _, stream := range []string{record.Stream, record.Objects, record.Acks} {
		r.Publish = append(r.Publish, api+"STREAM.INFO."+stream, api+"STREAM.MSG.GET."+stream, api+"DIRECT.GET."+stream, api+"DIRECT.GET."+stream+".>")
		for _, verb := range []string{"CREATE", "INFO", "DELETE", "MSG.NEXT"} {
			r.Publish = append(r.Publish, api+"CONSUMER."+verb+"."+stream+".>")
		}
	}
	if u.Role == Publisher {
		r.Publish = append(r.Publish, record.ObjectSubjects, api+"STREAM.PURGE."+record.Objects, api+"STREAM.PURGE."+record.Acks)
		for _, stream := range []string{record.Stream, record.Objects, record.Acks} {
			r.Publish = append(r.Publish, api+"STREAM.CREATE."+stream, api+"STREAM.UPDATE."+stream)
		}
	}
	return r
}

// Block is the user as an entry of the list users in the configuration of a NATS server.
func (u User) Block(domain string) string {
	r := u.Rules(domain)
	key := u.Key
	if key == "" {
		key = "U…"
	}
	quoted := func(subjects []string) string {
		var b strings.Builder
		for _, s := range subjects {
			fmt.Fprintf(&b, "      %q\n", s)
		}
		return b.String()
	}
	return fmt.Sprintf("{ # %s %s\n  nkey: %s\n  permissions {\n    publish: [\n%s    ]\n    subscribe: [\n%s    ]\n  }\n}\n",
		u.Role, u.Name, key, quoted(r.Publish), quoted(r.Subscribe))
}
