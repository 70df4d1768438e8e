package chart_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const (
	chartDir = "../../docs/kubernetes/chart"
	appDir   = "../../docs/kubernetes/app"
	release  = "first"
)

// rendered is what a set of values makes, decoded.
type rendered struct {
	deployments []apps.Deployment
	services    []core.Service
	configMaps  []core.ConfigMap
	budgets     []disruption.PodDisruptionBudget
	networks    []networking.NetworkPolicy
	monitors    []monitoring.ServiceMonitor
	rules       []monitoring.PrometheusRule
	notes       string
}

// TestMain keeps quiet that Helm follows the link to the alerts, which it tells each time.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func load(t *testing.T, dir string) *chart.Chart {
	t.Helper()
	c, err := loader.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loadApp is the example of a chart with the sidecar in it.
func loadApp(t *testing.T) *chart.Chart {
	t.Helper()
	c := load(t, appDir)
	c.AddDependency(load(t, chartDir))
	return c
}

func render(t *testing.T, c *chart.Chart, values map[string]any) (rendered, error) {
	t.Helper()
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return rendered{}, err
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: release, Namespace: "space", IsInstall: true}, nil)
	if err != nil {
		return rendered{}, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return rendered{}, err
	}
	var out rendered
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			out.notes += text
			continue
		}
		for _, doc := range strings.Split(text, "\n---\n") {
			if strings.TrimSpace(doc) != "" {
				out.decode(t, name, []byte(doc))
			}
		}
	}
	return out, nil
}

func into[T any](t *testing.T, name string, doc []byte, list *[]T) {
	t.Helper()
	var object T
	text, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, doc)
	}
	unknown, err := json.UnmarshalStrict(text, &object) // as the API server does: the case of a field's name counts
	if err := errors.Join(append(unknown, err)...); err != nil {
		t.Errorf("%s: %v\n%s", name, err, doc)
	}
	*list = append(*list, object)
}

func (r *rendered) decode(t *testing.T, name string, doc []byte) {
	t.Helper()
	var kind meta.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, doc)
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		into(t, name, doc, &r.deployments)
	case "v1 Service":
		into(t, name, doc, &r.services)
	case "v1 ConfigMap":
		into(t, name, doc, &r.configMaps)
	case "policy/v1 PodDisruptionBudget":
		into(t, name, doc, &r.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		into(t, name, doc, &r.networks)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		into(t, name, doc, &r.monitors)
	case "monitoring.coreos.com/v1 PrometheusRule":
		into(t, name, doc, &r.rules)
	default:
		t.Errorf("%s: unexpected kind %+v\n%s", name, kind, doc)
	}
}

func readValues(t *testing.T, path string) map[string]any {
	t.Helper()
	values, err := chartutil.ReadValuesFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// eachValues runs f for each set of values of the chart, stand-alone, and, in the example, as a sidecar.
func eachValues(t *testing.T, f func(t *testing.T, r rendered, values chartutil.Values)) {
	t.Helper()
	files, err := filepath.Glob(chartDir + "/ci/*-values.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("there are %d sets of values: expected seven at least: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), "-values.yaml")
		t.Run(name+"/standalone", func(t *testing.T) {
			c := load(t, chartDir)
			r, err := render(t, c, readValues(t, file))
			if err != nil {
				t.Fatal(err)
			}
			f(t, r, merged(t, c, readValues(t, file)))
		})
		t.Run(name+"/sidecar", func(t *testing.T) {
			values := readValues(t, file)
			values["mode"] = "sidecar"
			app := loadApp(t)
			delete(app.Values, "defenseclaw") // its policy, which each set has its own of
			r, err := render(t, app, map[string]any{"defenseclaw": values})
			if err != nil {
				t.Fatal(err)
			}
			f(t, r, merged(t, load(t, chartDir), values))
		})
	}
}

func merged(t *testing.T, c *chart.Chart, values map[string]any) chartutil.Values {
	t.Helper()
	all, err := chartutil.CoalesceValues(c, values)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func text(t *testing.T, values chartutil.Values, path string) string {
	t.Helper()
	v, err := values.PathValue(path)
	if err != nil {
		return ""
	}
	s, _ := v.(string)
	return s
}

func TestTheAlertsAreThoseOfTheDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(document, &want); err != nil {
		t.Fatal(err)
	}
	r, err := render(t, load(t, chartDir), readValues(t, chartDir+"/ci/git-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.rules) != 1 || len(want.Groups) == 0 || len(want.Groups[0].Rules) < 10 {
		t.Fatalf("%d rules, %d groups", len(r.rules), len(want.Groups))
	}
	got, _ := yaml.Marshal(r.rules[0].Spec)
	expected, _ := yaml.Marshal(want)
	if !bytes.Equal(got, expected) {
		t.Errorf("the alerts differ from docs/monitoring/alerts.yaml:\n%s", got)
	}
	if info, err := os.Lstat(chartDir + "/files/alerts.yaml"); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("files/alerts.yaml is %v, %v: expected a link, not a copy", info, err)
	}
	if got := r.monitors[0].Spec.Endpoints[0].RelabelConfigs[0]; got.TargetLabel != "job" || *got.Replacement != "defenseclaw" {
		t.Errorf("the job is labelled by %+v: DefenseClawDown supposes defenseclaw", got)
	}
}
