package corpus

import "fmt"

// dockerfile checks the instructions of a Dockerfile, as those who test configuration do: strings for the most part.
func dockerfile() Kind {
	line := func(i int) string {
		return [7]string{
			`{"Cmd": "FROM", "Value": ["golang:1.26", "AS", "build"]}`, `{"Cmd": "RUN", "Value": ["apt-get update && apt-get install git make"]}`,
			fmt.Sprintf(`{"Cmd": "ENV", "Value": ["SETTING_%d", "1"]}`, i), fmt.Sprintf(`{"Cmd": "COPY", "Value": ["src/%d", "/src"]}`, i),
			fmt.Sprintf(`{"Cmd": "RUN", "Value": ["curl -fsSL https://example.com/%d.sh | sh"]}`, i),
			`{"Cmd": "COPY", "Value": [".", "/app"]}`, fmt.Sprintf(`{"Cmd": "ENV", "Value": ["API_TOKEN_%d", "x"]}`, i),
		}[i%7]
	}
	return Kind{
		Name: "dockerfile", Path: "dockerfile/result",
		Files: map[string]string{

			"data.json": `{"secret_names": ["TOKEN", "PASSWORD", "SECRET", "API_KEY"], "forbidden_sources": [".", ".git", ".env", "secrets"]}` + "\n",
		},
		Inputs: inputs(func(n int) string { return fmt.Sprintf(`{"stages": {"build": [%s]}}`, list(n, line)) }, 3, 20, 150),
	}
}

// materials compares the components of a bill of materials with lists in the data: licences, advisories, exceptions.
func materials() Kind {
	data := fmt.Sprintf(`{"allowed_licences": [%s], "advisories": [%s], "exceptions": [%s], "banned": {%s}}`+"\n",
		list(12, func(i int) string { return fmt.Sprintf(`"licence-%d"`, i) }),
		list(150, func(i int) string {
			return fmt.Sprintf(`{"id": "ADV-%04d", "package": "package-%d", "fixed": "1.%d.0"}`, i, i*3, i%9)
		}),
		list(50, func(i int) string {
			return fmt.Sprintf(`{"component": "package-%d", "rule": "%s"}`, i*6, [2]string{"licence", "advisory"}[i%2])
		}),
		list(40, func(i int) string { return fmt.Sprintf(`"package-%d": "abandoned"`, i*11) }))
	return Kind{
		Name: "materials", Path: "materials/result", Files: map[string]string{"data.json": data},
		Inputs: inputs(func(n int) string {
			return fmt.Sprintf(`{"format": "CycloneDX", "components": [%s]}`, list(n, func(i int) string {
				return fmt.Sprintf(`{"name": "package-%d", "version": "1.%d.%d", "licences": ["licence-%d"], "hash": "%064x"}`, i, i%7, i%4, i%14, i)
			}))
		}, 2, 12, 60),
	}
}

// records are rows that the policy filters by the organisation of the user, and masks.
func records() Kind {
	data := fmt.Sprintf(`{"organisation": {%s}, "fields": {"salary": ["payroll"], "mail": ["directory", "payroll"], "born": ["hr"]}}`+"\n",
		list(120, func(i int) string { return fmt.Sprintf(`"unit%d": ["unit%d", "unit%d"]`, i, (2*i+1)%240, (2*i+2)%240) }))
	return Kind{
		Name: "records", Path: "records/result", Files: map[string]string{"data.json": data},
		Inputs: inputs(func(n int) string {
			return fmt.Sprintf(`{"user": {"name": "ann", "unit": "unit2", "clearance": "confidential", "scopes": ["directory", "search"]}, "records": [%s]}`,
				list(n, func(i int) string {
					return fmt.Sprintf(`{"id": "r%d", "unit": "unit%d", "classification": %q, "name": "person %d", "mail": "person%d@example.com", "salary": %d.50, "born": "19%02d-01-02"}`,
						i, i*7%240, [4]string{"public", "internal", "confidential", "secret"}[i%4], i, i, 1000*i, i%100)
				}))
		}, 2, 20, 150),
	}
}
