package settings

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// following are the settings of a source that is a channel of a fleet.
func following(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "source-keys", Env: "DEFENSECLAW_SOURCE_KEYS", Key: "source.keys", value: path(&s.Source.Keys),
			Help: "serve only what a key in `FILE` signed: lines of a role and a key, as fleet key new prints them; the file is read again when it changes. Required for nats://",
		},
		{
			Flag: "source-domain", Env: "DEFENSECLAW_SOURCE_DOMAIN", Key: "source.domain", value: text(&s.Source.Domain),
			Help: "ask the JetStream of the `DOMAIN` for a channel's record, such as that of the hub of a leaf node",
		},
		{
			Flag: "agent-id", Env: "DEFENSECLAW_AGENT_ID", Key: "source.agent", value: text(&s.Source.Agent),
			Help: "be the agent called `NAME` in the channel, which no other one may be; default the host's name",
		},
		{
			Flag: "agent-labels", Env: "DEFENSECLAW_AGENT_LABELS", Key: "source.labels", value: labels(&s.Source.Labels),
			Help: "be among those that a rollout selects by `NAME=VALUE`,…",
		},
	}
}

func labels(field *map[string]string) value {
	return parsed(field, "a list of NAME=VALUE with commas between them", func(text string) (map[string]string, error) {
		all := map[string]string{}
		for one := range strings.SplitSeq(text, ",") {
			if one = strings.TrimSpace(one); one == "" {
				continue
			}
			name, value, ok := strings.Cut(one, "=")
			if name = strings.TrimSpace(name); !ok || name == "" {
				return nil, errValue
			}
			all[name] = strings.TrimSpace(value)
		}
		return all, nil
	})
}

// checkChannelURL wants servers and a channel.
func checkChannelURL(u *url.URL) error {
	channel := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || channel == "" || strings.Contains(channel, "/") || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("servers and a channel were expected, such as nats://broker-1,broker-2/prod")
	}
	return nil
}

// checkFleet says what a source that is a channel lacks.
func (s *Settings) checkFleet() error {
	scheme, _, _ := strings.Cut(s.Source.URL, "://")
	switch {
	case scheme != "nats" && scheme != "tls":
	case s.Source.Keys == "":
		return fmt.Errorf("%s is %s, and no keys are named: what a channel serves has to be signed; --source-keys with a file of keys was expected",
			s.Source.foundIn, s.Source.URL)
	case s.ValidateOnly:
		return errors.New("a sidecar that only validates follows no channel: a directory was expected")
	}
	return nil
}

// ChannelOf is what the URL of a channel names: the servers, each with the URL's scheme, and the channel.
func ChannelOf(place string) (servers []string, channel string) {
	u, err := url.Parse(place)
	if err != nil {
		return nil, ""
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		if host != "" {
			servers = append(servers, u.Scheme+"://"+host)
		}
	}
	return servers, strings.TrimPrefix(u.Path, "/")
}
