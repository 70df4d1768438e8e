package chart_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func TestLint(t *testing.T) {
	files, err := filepath.Glob(chartDir + "/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, m := range lint.All(chartDir, readValues(t, file), "space", true).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", file, m)
			}
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	eachValues(t, func(t *testing.T, r rendered, _ chartutil.Values) {
		pod := r.deployments[0].Spec.Template
		if got := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !got.Allowed {
			t.Errorf("not restricted: %s", got.ForbiddenDetail())
		}
		for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			if c.Name == "app" {
				continue
			}
			if s := c.SecurityContext; *s.RunAsUser != 65532 || !*s.ReadOnlyRootFilesystem || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: user, root or limit of memory: %+v", c.Name, c)
			}
		}
		if *pod.Spec.AutomountServiceAccountToken {
			t.Error("the pod gets a token of Kubernetes, which it has no use for")
		}
	})
}

func sidecarOf(t *testing.T, r rendered) core.Container {
	t.Helper()
	all := r.deployments[0].Spec.Template.Spec.Containers
	i := slices.IndexFunc(all, func(c core.Container) bool { return c.Name == "defenseclaw" })
	if i < 0 {
		t.Fatalf("no container defenseclaw among %v", all)
	}
	return all[i]
}

// checkExecProbes: the commands ask the data directory that the sidecar has.
func checkExecProbes(t *testing.T, c core.Container) {
	t.Helper()
	for _, p := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p.Exec == nil || p.HTTPGet != nil {
			t.Fatalf("%+v", p)
		}
		live := slices.Contains(p.Exec.Command, "--live")
		if !slices.Contains(p.Exec.Command, "healthcheck") || live == (p == c.ReadinessProbe) || !slices.Contains(c.Args, p.Exec.Command[2]) || p.TimeoutSeconds < 5 {
			t.Errorf("%+v asks %q; the sidecar has %q", p, p.Exec.Command, c.Args)
		}
	}
}

func TestPartsAgree(t *testing.T) {
	eachValues(t, func(t *testing.T, r rendered, values chartutil.Values) {
		c, pod := sidecarOf(t, r), r.deployments[0].Spec.Template
		port := c.Ports[0].ContainerPort
		if want := fmt.Sprintf("--api-port=%d", port); !slices.Contains(c.Args, want) {
			t.Errorf("the port is %d, and the flags %v", port, c.Args)
		}
		if values["probes"] == "exec" {
			checkExecProbes(t, c)
			return
		}
		scheme := core.URISchemeHTTP
		if text(t, values, "tls.secret") != "" {
			scheme = core.URISchemeHTTPS
		}
		for path, p := range map[string][]*core.Probe{"/health": {c.StartupProbe, c.LivenessProbe}, "/health/ready": {c.ReadinessProbe}} {
			for _, p := range p {
				if p.HTTPGet.Path != path || p.HTTPGet.Scheme != scheme || p.HTTPGet.Port.IntVal != port {
					t.Errorf("a probe asks %+v: expected %s %s on %d", p.HTTPGet, scheme, path, port)
				}
			}
		}
		var volumes []string
		for _, v := range pod.Spec.Volumes {
			volumes = append(volumes, v.Name)
			if source, _ := json.Marshal(v.VolumeSource); strings.Count(string(source), "\":{") != 1 {
				t.Errorf("the volume %s has not one source: %s", v.Name, source)
			}
		}
		mounted := map[string]bool{}
		for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			for _, m := range c.VolumeMounts {
				mounted[m.Name] = true
			}
		}
		if got := slices.Sorted(maps.Keys(mounted)); !slices.Equal(got, slices.Sorted(slices.Values(volumes))) {
			t.Errorf("mounted are %v of the volumes %v", got, volumes)
		}
		for _, arg := range c.Args { // files that flags name are in volumes
			if _, path, _ := strings.Cut(arg, "=/"); path != "" && !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool {
				return strings.HasPrefix("/"+path+"/", m.MountPath+"/")
			}) {
				t.Errorf("%s is in no volume", arg)
			}
		}
		for _, s := range r.services {
			if s.Spec.Ports[0].TargetPort.String() != c.Ports[0].Name || !selects(s.Spec.Selector, pod.Labels) {
				t.Errorf("the Service %+v does not lead to %+v", s.Spec, pod.Labels)
			}
		}
		for _, n := range r.networks {
			if n.Spec.Ingress[0].Ports[0].Port.IntVal != port || !selects(n.Spec.PodSelector.MatchLabels, pod.Labels) {
				t.Errorf("the NetworkPolicy %+v is not about port %d of %v", n.Spec, port, pod.Labels)
			}
		}
		for _, b := range r.budgets {
			if !selects(b.Spec.Selector.MatchLabels, pod.Labels) {
				t.Errorf("the budget %+v is not about %v", b.Spec, pod.Labels)
			}
		}
		for _, m := range r.monitors {
			if e := m.Spec.Endpoints[0]; e.Port != r.services[0].Spec.Ports[0].Name || !strings.EqualFold(string(*e.Scheme), string(scheme)) ||
				!selects(m.Spec.Selector.MatchLabels, r.services[0].Labels) {
				t.Errorf("the ServiceMonitor %+v does not lead to %+v", m.Spec, r.services[0])
			}
		}
	})
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

func TestOptionsRender(t *testing.T) {
	count := func(name string) (r rendered) {
		r, err := render(t, load(t, chartDir), readValues(t, chartDir+"/ci/"+name+"-values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := count("configmap"); len(r.networks) != 1 || len(r.monitors) != 1 || len(r.rules) != 1 || len(r.budgets) != 1 ||
		len(r.services) != 1 || len(r.configMaps) != 0 || len(r.networks[0].Spec.Egress) != 0 {
		t.Errorf("%+v", r)
	}
	if r := count("files"); len(r.configMaps) != 1 || len(r.networks)+len(r.monitors)+len(r.rules) != 0 || !strings.Contains(r.notes, "first-defenseclaw-policy") {
		t.Errorf("%+v", r)
	}
	if r := count("fleet"); len(r.networks[0].Spec.Egress) != 2 || r.networks[0].Spec.Egress[1].Ports[0].Port.IntVal != 4222 {
		t.Errorf("%+v", r.networks)
	}
	if r := count("fleet"); r.deployments[0].Spec.Strategy.Type != apps.RecreateDeploymentStrategyType {
		t.Errorf("two pods would share a claim: %+v", r.deployments[0].Spec.Strategy)
	}
	if r := count("git"); len(r.deployments[0].Spec.Template.Spec.InitContainers) != 1 || len(r.deployments[0].Spec.Template.Spec.Containers) != 2 {
		t.Errorf("%+v", r.deployments)
	}
	app, err := render(t, loadApp(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(app.deployments) != 1 || len(app.deployments[0].Spec.Template.Spec.Containers) != 2 || len(app.configMaps) != 1 || len(app.services) != 0 {
		t.Errorf("the example: %+v", app)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for want, lines := range map[string]string{
		"image.repository is required":                "token: {secret: a}\npolicy: {configMap: {name: a}}",
		"token.secret is required":                    "image: {repository: a}\npolicy: {configMap: {name: a}}",
		"policy.configMap needs a name, or files":     "image: {repository: a}\ntoken: {secret: a}",
		"policy.git.repo is required":                 "image: {repository: a}\ntoken: {secret: a}\npolicy: {from: git}",
		"policy.bundle.url is required":               "image: {repository: a}\ntoken: {secret: a}\npolicy: {from: bundle}",
		"policy.fleet.keys.configMap is required":     "image: {repository: a}\ntoken: {secret: a}\npolicy: {from: fleet, fleet: {url: nats://h/c}}",
		"additional properties 'replica' not allowed": "replica: 3",
		"/policy/bundle/url":                          "policy: {bundle: {url: http://plain.example/b.tar.gz}}",
		"/port":                                       "port: 80",
	} {
		values, err := chartutil.ReadValues([]byte(lines))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := render(t, load(t, chartDir), values); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(want, "/")) &&
			!strings.Contains(err.Error(), strings.ReplaceAll(strings.TrimPrefix(want, "/"), "/", ".")) {
			t.Errorf("%s: %v: expected %q", lines, err, want)
		}
	}
}

// Settings by environment, flags and paths are those that the program documents.
func TestSettingsExist(t *testing.T) {
	document, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile("`(--[a-z-]+|DEFENSECLAW_[A-Z_]+)`").FindAllStringSubmatch(string(document), -1)
	has := func(name string) bool {
		return slices.ContainsFunc(known, func(m []string) bool { return m[1] == name })
	}
	eachValues(t, func(t *testing.T, r rendered, _ chartutil.Values) {
		c := sidecarOf(t, r)
		if c.Args[0] != "serve" {
			t.Errorf("the command is %q", c.Args[0])
		}
		for _, arg := range c.Args[1:] {
			if flag, _, _ := strings.Cut(arg, "="); !has(flag) {
				t.Errorf("there is no setting %s", flag)
			}
		}
		for _, e := range c.Env {
			if !has(e.Name) {
				t.Errorf("there is no setting %s", e.Name)
			}
		}
	})
}
