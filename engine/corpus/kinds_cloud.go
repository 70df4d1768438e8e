package corpus

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// kubernetes is an admission review of pods; the one of five containers has 5.5 kB.
func kubernetes() Kind {
	container := func(i int) string {
		image := "registry.example.com/shop/service-" + fmt.Sprint(i) + ":1.4." + fmt.Sprint(i)
		if i%4 == 3 {
			image = "docker.io/library/nginx:latest"
		}
		return fmt.Sprintf(`{"name": "c%d", "image": %q, "command": ["/bin/service", "--listen", ":80%02d"], "env": [%s], "ports": [{"containerPort": 80%02d, "protocol": "TCP"}],`+
			` "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m"%s}},`+
			` "securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"%s]}},`+
			` "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}, "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},`+
			` "volumeMounts": [{"name": "config", "mountPath": "/etc/service"}, {"name": "logs", "mountPath": "/var/log/service"}]}`,
			i, image, i%100,
			list(4, func(j int) string { return fmt.Sprintf(`{"name": "SETTING_%d", "value": "value of %d"}`, j, i*j) }), i%100,
			[2]string{`, "memory": "512Mi"`, ""}[i%5/4], [2]string{"", `, "SYS_ADMIN"`}[i%3/2])
	}
	return Kind{
		Name: "kubernetes", Path: "kubernetes/admission/review",
		Inputs: inputs(func(n int) string {
			return fmt.Sprintf(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE",`+
				` "kind": {"group": "", "version": "v1", "kind": "Pod"}, "userInfo": {"username": "deployer", "groups": ["system:authenticated", "ci"]}, "object": {"metadata":`+
				` {"name": "shop", "namespace": "production", "labels": {"app": "shop", "team": "checkout", "tier": "web"}, "annotations": {"build": "4711"}}, "spec": {"containers": [%s],`+
				` "volumes": [{"name": "config", "configMap": {"name": "shop"}}, {"name": "logs", "hostPath": {"path": "/var/log/shop"}}, {"name": "root", "hostPath": {"path": "/"}}]}}}}`,
				list(n, container))
		}, 1, 5, 40),
	}
}

// gateway verifies a token, and matches the request with 31 routes and 20 networks. The claims of the token make its size.
func gateway() Kind {
	const secret = "a secret that only this corpus holds"
	routes := list(31, func(i int) string {
		return fmt.Sprintf(`{"name": "route%d", "path": "/api/v%d/section%d/%s", "methods": ["GET"%s], "roles": ["role%d", "admin"], "internal": %t}`,
			i, 1+i%2, i/2, [3]string{"*", "*/items/*", "**"}[i%3], [2]string{"", `, "POST"`}[i%2], i%5, i%4 == 0)
	})
	networks := list(20, func(i int) string { return fmt.Sprintf(`"10.%d.0.0/16"`, i*3) })
	encode := base64.RawURLEncoding.EncodeToString
	return Kind{
		Name: "gateway", Path: "gateway/answer",
		Files: map[string]string{

			"data.json": fmt.Sprintf(`{"secret": %q, "routes": [%s], "networks": [%s]}`+"\n", secret, routes, networks),
		},
		Inputs: inputs(func(n int) string {
			body := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil,
				`{"iss":"https://id.example.com","aud":"shop","sub":"user-7","exp":4102444800,"roles":[%s]}`,
				list(n, func(i int) string { return fmt.Sprintf(`"role%d"`, 2+i) })))
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(body))
			return fmt.Sprintf(`{"method": "GET", "path": "/api/v1/section7/orders/items/17", "address": "10.57.3.9", "headers": {"authorization": "Bearer %s", "x-request": %q}}`,
				body+"."+encode(mac.Sum(nil)), strings.Repeat("0123456789abcdef", n))
		}, 1, 4, 200),
	}
}

// terraform scores the changes of a plan; the one of 40 has about 7.7 kB.
func terraform() Kind {
	change := func(i int) string {
		kind := [5]string{"aws_instance", "aws_iam_role", "aws_s3_bucket", "aws_security_group", "aws_lambda_function"}[i%5]
		more := fmt.Sprintf(`"size": "t3.%d"`, i)
		if i%5 == 3 {
			more = fmt.Sprintf(`"ingress": [{"from_port": %d, "cidr_blocks": ["%s"]}]`, [3]int{443, 22, 80}[i/5%3], [2]string{"0.0.0.0/0", "10.0.0.0/8"}[i%2])
		}
		return fmt.Sprintf(`{"address": "module.m%d.%s.r%d", "type": %q, "change": {"actions": [%s], "after": {"tags": {%s}, %s}}}`,
			i%4, kind, i, kind, [4]string{`"create"`, `"update"`, `"delete"`, `"delete", "create"`}[i%4], [3]string{`"owner": "ops"`, `"owner": "web"`, ""}[i%3], more)
	}
	return Kind{
		Name: "terraform", Path: "terraform/review/result",
		Inputs: inputs(func(n int) string {
			return fmt.Sprintf(`{"format_version": "1.2", "terraform_version": "1.9.5", "resource_changes": [%s]}`, list(n, change))
		}, 4, 40, 300),
	}
}
