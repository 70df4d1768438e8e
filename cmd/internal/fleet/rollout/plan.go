package rollout

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/watcher/fleet/record"
)

// What a plan is made of where nothing else is said.
const (
	DefaultSoak         = 2 * time.Minute
	DefaultMinDecisions = 200

	// Many is how many agents a fleet has at least before everything is rolled out in stages.
	Many = 21

	emergencySoak = 30 * time.Second
)

// Default is the plan of a fleet of many agents.
func Default() *record.Plan { return percents(DefaultSoak, 1, 10, 50, 100) }

// Emergency is a short plan: the same way, with the same gates.
func Emergency() *record.Plan { return percents(emergencySoak, 1, 100) }

func percents(soak time.Duration, all ...float64) *record.Plan {
	p := &record.Plan{Soak: soak, MaxFlips: -1}
	for _, percent := range all {
		p.Stages = append(p.Stages, record.Stage{Cohort: record.Cohort{Percent: percent}})
	}
	return p
}

// maxStages bounds a plan: a stage is a record that every agent takes.
const maxStages = 50

// Parse reads a plan: stages with commas between them. A stage is a percentage (10%), labels (ring=canary), or both with +
// between them, and may end in @ and the time that it has to go well (1%@30s). The last stage has to be 100%. Stages without
// a time have soak.
func Parse(text string, soak time.Duration) (*record.Plan, error) {
	if soak < 0 {
		return nil, fmt.Errorf("a stage is to go well for %s: 0 or more was expected", soak)
	}
	p := &record.Plan{Soak: soak, MaxFlips: -1}
	for one := range strings.SplitSeq(text, ",") {
		stage, err := parseStage(strings.TrimSpace(one))
		if err != nil {
			return nil, fmt.Errorf("the plan %s: %w", text, err)
		}
		for _, before := range p.Stages {
			if within(stage.Cohort, before.Cohort) {
				return nil, fmt.Errorf("the plan %s: the stage %s adds no agent to %s", text, Describe(stage.Cohort), Describe(before.Cohort))
			}
		}
		p.Stages = append(p.Stages, stage)
	}
	if len(p.Stages) > maxStages {
		return nil, fmt.Errorf("the plan has %d stages: at most %d were expected", len(p.Stages), maxStages)
	}
	if last := p.Stages[len(p.Stages)-1].Cohort; last.Percent < 100 || len(last.Labels) > 0 {
		return nil, fmt.Errorf("the plan %s ends at %s: the last stage has to be 100%%", text, Describe(last))
	}
	return p, nil
}

func parseStage(text string) (record.Stage, error) {
	stage := record.Stage{Cohort: record.Cohort{Percent: 100}}
	cohort, soak, timed := strings.Cut(text, "@")
	if timed {
		d, err := time.ParseDuration(soak)
		if err != nil || d <= 0 {
			return stage, fmt.Errorf("the stage %q: a time like 30s was expected after the @", text)
		}
		stage.Soak = d
	}
	for part := range strings.SplitSeq(cohort, "+") {
		percent, isPercent := strings.CutSuffix(part, "%")
		name, value, isLabel := strings.Cut(part, "=")
		switch {
		case isPercent && stage.Cohort.Percent == 100:
			n, err := strconv.ParseFloat(percent, 64)
			if err != nil || !(n > 0 && n <= 100) {
				return stage, fmt.Errorf("the stage %q: a percentage above 0 and up to 100 was expected", text)
			}
			stage.Cohort.Percent = n
		case isLabel && name != "" && value != "":
			if stage.Cohort.Labels == nil {
				stage.Cohort.Labels = map[string]string{}
			}
			stage.Cohort.Labels[name] = value
		default:
			return stage, fmt.Errorf("the stage %q: a percentage (10%%) or a label (ring=canary) was expected", text)
		}
	}
	return stage, nil
}

// ParseLabels reads labels as a selector has them: ring=canary,zone=a.
func ParseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for one := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("the selector is %q: NAME=VALUE,… was expected", text)
		}
		labels[name] = value
	}
	return labels, nil
}

// Select restricts a plan to agents that have the labels. The others keep the base.
func Select(p *record.Plan, labels map[string]string) error {
	if len(labels) == 0 {
		return nil
	}
	for i := range p.Stages {
		c := &p.Stages[i].Cohort
		for name, value := range labels {
			if had, twice := c.Labels[name]; twice && had != value {
				return fmt.Errorf("the stage %s is for no agent of the selector %s", Describe(*c), labelsText(labels))
			}
		}
		all := maps.Clone(labels)
		maps.Copy(all, c.Labels)
		c.Labels = all
	}
	return nil
}

// Describe names a cohort as a plan has it, without those of earlier stages.
func Describe(c record.Cohort) string {
	var parts []string
	if c.Percent < 100 || len(c.Labels) == 0 {
		parts = append(parts, strconv.FormatFloat(c.Percent, 'f', -1, 64)+"%")
	}
	if len(c.Labels) > 0 {
		parts = append(parts, labelsText(c.Labels))
	}
	return strings.Join(parts, "+")
}

func labelsText(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, "+")
}

// StageName names the stage that a record is at.
func StageName(r *record.Record) string {
	switch p := r.Plan; {
	case p == nil || p.Stage < 0 || len(p.Stages) == 0:
		return ""
	case r.State == record.Prepare:
		return "prepare"
	default:
		return Describe(p.Stages[min(p.Stage, len(p.Stages)-1)].Cohort)
	}
}

// cohort is who serves the target at a stage: who the stage names, and who was in the cohort before.
func cohort(p *record.Plan, stage int) record.Cohort {
	c := p.Stages[stage].Cohort
	c.Also = nil
	for _, before := range p.Stages[:stage] {
		if !within(before.Cohort, c) {
			c.Also = append(c.Also, before.Cohort)
		}
	}
	return c
}

// within reports whether every agent of a cohort is certainly in another one.
func within(c, other record.Cohort) bool {
	for name, value := range other.Labels {
		if c.Labels[name] != value {
			return false
		}
	}
	return other.Percent >= 100 || c.Salt == other.Salt && c.Percent <= other.Percent && maps.Equal(c.Labels, other.Labels)
}

// checkPlan says what is wrong with a plan that did not come from here.
func checkPlan(p *record.Plan) error {
	if p == nil {
		return errors.New("the record has no plan")
	}
	if len(p.Stages) == 0 || len(p.Stages) > maxStages {
		return fmt.Errorf("the plan has %d stages: 1 to %d were expected", len(p.Stages), maxStages)
	}
	return nil
}
