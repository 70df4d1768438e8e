package sidecar_test

import "testing"

func TestABundleTakesAwayWhatItsManifestSays(t *testing.T) {
	web := newRegistry(t)
	firewall := [2]string{"firewall.rego", "package defenseclaw.firewall\n\naction := \"deny\"\n"}
	web.publish(t, `"1"`, policyOf("1"), firewall)
	set, _, _, _ := startWith(t, web.follow(t, t.TempDir()))
	client, err := clientOf(set)
	if err != nil {
		t.Fatal(err)
	}
	if answer := answerOf(t, client); answer != "1" {
		t.Fatal(answer)
	}
	web.publish(t, `"2"`, policyOf("2"))
	eventually(t, "the removal is refused", func() bool { return statusOf(t, client).State == "stale" })
	if answer := answerOf(t, client); answer != "1" {
		t.Errorf("x is %s although the release is refused", answer)
	}
	web.publish(t, `"3"`, policyOf("2"), [2]string{".manifest", `{"metadata": {"accept_removals": {"packages": ["defenseclaw/firewall"]}}}`})
	eventually(t, "what the manifest accepts serves", func() bool { return answerOf(t, client) == "2" && statusOf(t, client).State == "current" })
}
