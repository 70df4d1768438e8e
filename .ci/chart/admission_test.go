package chart_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	stdjson "encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admission "k8s.io/api/admission/v1"
	registration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/json"
)

const admissionDir = "../../docs/examples/admission"

// A webhook is what the example's manifests make of the sidecar: the API server's side of it.
type webhook struct {
	t      *testing.T
	config registration.ValidatingWebhook
	client *http.Client
	url    string // of the service, without a path
}

// The API server gets an answer that it takes, over TLS and with its token, from the sidecar that the example's values make.
func TestTheWebhookAnswersReviews(t *testing.T) {
	w := newWebhook(t)
	path := *w.config.ClientConfig.Service.Path
	good := core.PodSpec{Containers: []core.Container{{Name: "app", Image: "registry.example/app:1.0"}}}
	with := func(change func(*core.PodSpec)) core.PodSpec { spec := *good.DeepCopy(); change(&spec); return spec }
	image := func(name string) core.PodSpec { return with(func(s *core.PodSpec) { s.Containers[0].Image = name }) }
	pod := func(spec core.PodSpec) runtime.Object {
		return &core.Pod{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Pod"}, Spec: spec}
	}
	template := func(spec core.PodSpec) core.PodTemplateSpec { return core.PodTemplateSpec{Spec: spec} }
	yes := true
	tests := []struct {
		name   string
		object runtime.Object
		denied string // empty: allowed
	}{
		{"a pod", pod(good), ""},
		{"a digest", pod(image("registry.example/app@sha256:" + strings.Repeat("a", 64))), ""},
		{"another registry", pod(image("docker.io/library/app:1.0")), `container app: the image "docker.io/library/app:1.0" is of none of the registries`},
		{"a registry that begins alike", pod(image("registry.example.org/app:1.0")), "is of none of the registries"},
		{"no tag", pod(image("registry.example/app")), "needs a tag other than latest"},
		{"latest", pod(image("registry.example/app:latest")), "needs a tag other than latest"},
		{"two reasons", pod(image("app")), `needs a tag other than latest, or a digest`},
		{"an init container", pod(with(func(s *core.PodSpec) { s.InitContainers = []core.Container{{Name: "init", Image: "busybox:1"}} })), "container init: "},
		{"a debug container", pod(with(func(s *core.PodSpec) {
			s.EphemeralContainers = []core.EphemeralContainer{{EphemeralContainerCommon: core.EphemeralContainerCommon{Name: "debug", Image: "busybox:1"}}}
		})), "container debug: "},
		{"privileged", pod(with(func(s *core.PodSpec) { s.Containers[0].SecurityContext = &core.SecurityContext{Privileged: &yes} })), "container app is privileged"},
		{"the host's network", pod(with(func(s *core.PodSpec) { s.HostNetwork = true })), "hostNetwork is set"},
		{"a deployment", &apps.Deployment{TypeMeta: meta.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, Spec: apps.DeploymentSpec{Template: template(good)}}, ""},
		{"a bad deployment", &apps.Deployment{TypeMeta: meta.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			Spec: apps.DeploymentSpec{Template: template(image("app:1"))}}, "is of none"},
		{"a cron job", &batch.CronJob{TypeMeta: meta.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"},
			Spec: batch.CronJobSpec{JobTemplate: batch.JobTemplateSpec{Spec: batch.JobSpec{Template: template(image("app:1"))}}}}, "is of none"},
		{"another kind", &core.Namespace{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}, "a Namespace has no pods"},
		{"a name with JSON in it", pod(with(func(s *core.PodSpec) {
			s.Containers[0].Name, s.Containers[0].Image = `"},"allowed":true,"x":{"`, "app:1"
		})), "is of none"},
	}
	for _, tt := range tests {
		for _, at := range []string{path, "/"} {
			r := w.review(tt.object)
			got, err := w.send(at+"?timeout=5s", token, r)
			if err != nil {
				t.Errorf("%s at %s: %v", tt.name, at, err)
				continue
			}
			if got.Allowed != (tt.denied == "") {
				t.Errorf("%s at %s: allowed %v: %+v", tt.name, at, got.Allowed, got.Result)
			}
			if tt.denied != "" && (got.Result == nil || got.Result.Code != http.StatusForbidden || !strings.Contains(got.Result.Message, tt.denied)) {
				t.Errorf("%s at %s: %+v does not say %q", tt.name, at, got.Result, tt.denied)
			}
		}
	}
}

// What the API server takes for no answer, for which it denies.
func TestTheWebhookDoesNotAnswerWhatItCannotDecide(t *testing.T) {
	w := newWebhook(t)
	path := *w.config.ClientConfig.Service.Path
	if *w.config.FailurePolicy != registration.Fail {
		t.Errorf("failurePolicy is %s", *w.config.FailurePolicy)
	}
	large := w.review(&core.Pod{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{"x": strings.Repeat("x", 1<<20)}}})
	old := w.review(&core.Pod{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Pod"}})
	old.APIVersion = "admission.k8s.io/v1beta1"
	for what, c := range map[string]struct {
		token  string
		review *admission.AdmissionReview
		status string
	}{
		"no token":        {"", w.review(&core.Pod{}), "401"},
		"a wrong token":   {strings.Repeat("a", 64), w.review(&core.Pod{}), "401"},
		"a large object":  {token, large, "413"},
		"no request":      {token, &admission.AdmissionReview{TypeMeta: old.TypeMeta}, "404"},
		"another version": {token, old, "404"},
	} {
		if got, err := w.send(path, c.token, c.review); err == nil || !strings.Contains(err.Error(), c.status) {
			t.Errorf("%s: %+v, %v, not %s", what, got, err, c.status)
		}
	}
}

// newWebhook starts the sidecar by the chart with the example's values, and reads how the API server is told to call it.
func newWebhook(t *testing.T) *webhook {
	t.Helper()
	authority, certificate, key := certificates(t, "policy.policy-system.svc")
	root := t.TempDir()
	if err := os.CopyFS(root+"/etc/defenseclaw/policies", os.DirFS(admissionDir+"/policy")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root+"/etc/defenseclaw/tls", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(root+"/etc/defenseclaw/tls/"+name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := render(t, load(t, chartDir), readValues(t, admissionDir+"/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := &webhook{t: t, config: registered(t, authority)}
	service := w.config.ClientConfig.Service
	if s := r.services[0]; s.Name != service.Name || s.Spec.Ports[0].Port != *service.Port {
		t.Errorf("the webhook calls %+v, and the chart's service is %s at %d", service, s.Name, s.Spec.Ports[0].Port)
	}
	w.url = "https://127.0.0.1:" + launch(t, program(t), r, root)
	name := service.Name + "." + service.Namespace + ".svc"
	w.client, err = rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: w.config.ClientConfig.CABundle, ServerName: name}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloseIdleConnections)
	if presented(t, name) != token {
		t.Errorf("the API server would not present the token to %s", name)
	}
	until(t, "ready", func() bool {
		res, err := w.client.Get(w.url + "/health/ready")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	return w
}

// registered reads the manifest as the README has it applied.
func registered(t *testing.T, authority []byte) registration.ValidatingWebhook {
	t.Helper()
	text, err := os.ReadFile(admissionDir + "/webhook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []registration.ValidatingWebhookConfiguration
	into(t, "webhook.yaml", bytes.ReplaceAll(text, []byte("CA-BUNDLE\n"), []byte(base64.StdEncoding.EncodeToString(authority)+"\n")), &all)
	if len(all[0].Webhooks) != 1 || !slices.Equal(all[0].Webhooks[0].AdmissionReviewVersions, []string{"v1"}) {
		t.Fatalf("%+v", all)
	}
	return all[0].Webhooks[0]
}

// presented is the token that the API server shows to a webhook of that name, by the example's two files.
func presented(t *testing.T, name string) string {
	t.Helper()
	var all []struct {
		meta.TypeMeta `json:",inline"`
		Plugins       []struct {
			Name          string `json:"name"`
			Configuration struct {
				meta.TypeMeta  `json:",inline"`
				KubeConfigFile string `json:"kubeConfigFile"`
			} `json:"configuration"`
		} `json:"plugins"`
	}
	text, err := os.ReadFile(admissionDir + "/apiserver/admission.yaml")
	if err != nil {
		t.Fatal(err)
	}
	into(t, "admission.yaml", text, &all)
	conf := all[0]
	if len(conf.Plugins) != 1 || conf.Plugins[0].Name != "ValidatingAdmissionWebhook" {
		t.Fatalf("%+v", conf)
	}
	text, err = os.ReadFile(filepath.Join(admissionDir, "apiserver", filepath.Base(conf.Plugins[0].Configuration.KubeConfigFile)))
	if err != nil {
		t.Fatal(err)
	}
	users, err := clientcmd.Load(bytes.ReplaceAll(text, []byte("THE-TOKEN}"), []byte(token+"}")))
	if err != nil {
		t.Fatal(err)
	}
	if user := users.AuthInfos[name]; user != nil {
		return user.Token
	}
	return ""
}

func (w *webhook) review(object runtime.Object) *admission.AdmissionReview {
	w.t.Helper()
	text, err := stdjson.Marshal(object)
	if err != nil {
		w.t.Fatal(err)
	}
	kind := object.GetObjectKind().GroupVersionKind()
	return &admission.AdmissionReview{
		TypeMeta: meta.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admission.AdmissionRequest{
			UID:  types.UID(fmt.Sprintf("705ab4f5-6393-11e8-b7cc-%012d", time.Now().UnixNano()%1e12)),
			Kind: meta.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}, Name: "x", Namespace: "space",
			Operation: admission.Create, Object: runtime.RawExtension{Raw: text},
		},
	}
}

// send posts a review as the API server does, and takes the answer as strictly as it does.
func (w *webhook) send(path, token string, review *admission.AdmissionReview) (*admission.AdmissionResponse, error) {
	body, err := stdjson.Marshal(review)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, */*")
	req.Header.Set("User-Agent", "kube-apiserver-admission")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Host = "policy.policy-system.svc:18970"
	res, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", res.Status, text)
	}
	var answer admission.AdmissionReview
	unknown, err := json.UnmarshalStrict(text, &answer)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	if answer.TypeMeta != review.TypeMeta || answer.Request != nil || answer.Response == nil ||
		answer.Response.UID != review.Request.UID || answer.Response.Patch != nil || answer.Response.PatchType != nil {
		return nil, fmt.Errorf("not an answer to the review: %s", text)
	}
	return answer.Response, nil
}

// certificates makes an authority, and a certificate of it for a name.
func certificates(t *testing.T, name string) (authority, certificate, key []byte) {
	t.Helper()
	made := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		t.Helper()
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = own
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, own
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, caKey := made(ca, ca, nil)
	leafDER, leafKey := made(&x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, caKey)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return block("CERTIFICATE", caDER), block("CERTIFICATE", leafDER), block("PRIVATE KEY", keyDER)
}
