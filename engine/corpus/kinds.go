package corpus

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A Kind is a policy of a kind that is common, with one document to ask for, and inputs that are small, median and large for
// their kind.
type Kind struct {
	Name   string
	Files  map[string]string // by slash-separated path
	Path   string            // below /v1/data
	Inputs []KindInput
}

// A KindInput is an input, as JSON, and what its size is for its kind.
type KindInput struct{ Size, JSON string }

// Kinds returns eight policies: a large table of roles, admission to Kubernetes, an API gateway, the default pack, which is
// handed over as a directory, a review of changes to infrastructure, a check of a Dockerfile, one of a bill of materials, and
// records that are filtered and masked.
func Kinds(pack fs.FS) ([]Kind, error) {
	files, err := modulesOf(pack)
	if err != nil {
		return nil, fmt.Errorf("read the default pack: %w", err)
	}
	all := []Kind{
		rbac(), kubernetes(), gateway(),
		{Name: "pack", Files: files, Path: "defenseclaw/admission", Inputs: admissions()},
		terraform(), dockerfile(), materials(), records(),
	}
	for i, k := range all {
		if k.Name == "pack" {
			continue
		}
		text, err := kindModules.ReadFile("kinds/" + k.Name + ".rego")
		if err != nil {
			return nil, err
		}
		all[i].Files = map[string]string{k.Name + ".rego": string(text)}
		if data, ok := k.Files["data.json"]; ok {
			all[i].Files["data.json"] = data
		}
	}
	return all, nil
}

//go:embed kinds
var kindModules embed.FS

// inputs makes three inputs of three numbers: of containers, changes, records, or what else a kind has several of.
func inputs(of func(n int) string, small, median, large int) []KindInput {
	return []KindInput{{"small", of(small)}, {"median", of(median)}, {"large", of(large)}}
}

// list joins the texts of n items by commas.
func list(n int, item func(i int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = item(i)
	}
	return strings.Join(all, ",")
}

func modulesOf(pack fs.FS) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(pack, ".", func(path string, entry fs.DirEntry, err error) error {
		relevant := strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, ".json")
		if err != nil || entry.IsDir() || !relevant || strings.HasSuffix(path, "_test.rego") {
			return err
		}
		text, err := fs.ReadFile(pack, path)
		files[path] = string(text)
		return err
	})
	if err == nil && len(files) == 0 {
		err = errors.New("it has no module")
	}
	return files, err
}

// admissions are a thing on no list, one that was scanned, and one that was scanned with many findings and long lists.
func admissions() []KindInput {
	return inputs(func(n int) string {
		entries := func(kind string) string {
			return list(n, func(i int) string {
				return fmt.Sprintf(`{"target_type": "skill", "target_name": "%s-%d", "reason": "reviewed in week %d", "source_path": "/srv/%s/%d"}`,
					kind, i, i%52, kind, i)
			})
		}
		scan := ""
		if n > 0 {
			scan = fmt.Sprintf(`, "scan_result": {"max_severity": "medium", "total_findings": %d, "scanner_name": "skill-scanner", "exit_code": 0, "findings": [%s]}`,
				n, list(n, func(i int) string {
					return fmt.Sprintf(`{"id": "F%03d", "severity": "MEDIUM", "title": "finding %d", "location": "SKILL.md:%d"}`, i, i, i*7)
				}))
		}
		return fmt.Sprintf(`{"target_type": "skill", "target_name": "weather", "path": "/home/user/skills/weather", "block_list": [%s], "allow_list": [%s]%s}`,
			entries("blocked"), entries("allowed"), scan)
	}, 0, 3, 60)
}

// rbac has roles, groups and denials of 2,000 users, about 147 kB.
func rbac() Kind {
	var b strings.Builder
	b.WriteString(`{"users": {`)
	b.WriteString(list(2000, func(i int) string {
		return fmt.Sprintf(`"user%04d": {"roles": ["role%d"], "groups": ["team%d"]}`, i, i%40, i%60)
	}))
	b.WriteString(`}, "groups": {`)
	b.WriteString(list(60, func(i int) string {
		return fmt.Sprintf(`"team%d": {"roles": ["role%d", "role%d"]}`, i, (i+7)%40, (i+19)%40)
	}))
	b.WriteString(`}, "roles": {`)
	b.WriteString(list(40, func(i int) string {
		return fmt.Sprintf(`"role%d": [%s]`, i, list(6, func(j int) string {
			return fmt.Sprintf(`{"resource": "res%d", "action": "%s"}`, (i*5+j)%90, [3]string{"read", "write", "delete"}[j%3])
		}))
	}))
	b.WriteString(`}, "denials": [`)
	b.WriteString(list(200, func(i int) string {
		return fmt.Sprintf(`{"user": "user%04d", "resource": "res%d", "actions": ["delete", "write"]}`, i*9, i%90)
	}))
	b.WriteString("]}\n")
	return Kind{
		Name: "rbac", Path: "access/rbac/answer",
		Files: map[string]string{"data.json": b.String()},
		Inputs: inputs(func(n int) string {
			return fmt.Sprintf(`{"user": "user0042", "requests": [%s]}`, list(n, func(i int) string {
				return fmt.Sprintf(`{"resource": "res%d", "action": "read"}`, [3]int{10, 13, 55}[i%3])
			}))
		}, 1, 3, 30),
	}
}
