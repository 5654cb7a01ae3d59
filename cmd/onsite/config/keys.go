package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Key is one setting.
type Key struct {
	Name    string // redis.sentinel.addresses
	Env     string // ONSITE_REDIS_SENTINEL_ADDRESSES
	Doc     string
	Default string
	Secret  bool
	index   []int
}

// Others are variables that begin like settings and are none: they are read elsewhere.
var Others = map[string]string{
	"ONSITE_CONFIG":      "the YAML file, as --config",
	"ONSITE_CACHE":       "where models and ONNX Runtime lie; else ~/.cache/onsite",
	"ONSITE_DECODER":     "the decoder child; else onsite-decode beside the program",
	"ONSITE_SERVER":      "the API that the client commands talk to",
	"ONSITE_KEY":         "the API key of the client commands",
	"ONSITE_KEY_FILE":    "a file with the API key of the client commands",
	"ONSITE_CHAOS_CLOCK": "a file with the jump of the clock, for the fault harness; needs measure: true",
	"ONSITE_CHAOS_KILL":  "how likely a process kills itself at a commit, for the fault harness; needs measure: true",
	"ONSITE_EVAL":        "evaluation data of the project's own tests",
	"ONSITE_MUTATIONS":   "a longer run of the project's own tests",
}

// OtherPrefix begins the variables of the project's own tests.
const OtherPrefix = "ONSITE_TEST_"

// Keys lists every setting in the order of the struct.
func Keys() []Key {
	var out []Key
	defaults := reflect.ValueOf(Defaults())
	var walk func(t reflect.Type, path string, index []int)
	walk = func(t reflect.Type, path string, index []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			name := f.Tag.Get("koanf")
			if name == "" {
				continue
			}
			at := append(append([]int{}, index...), i)
			doc := f.Tag.Get("doc")
			if doc == "" { // a section
				walk(f.Type, path+name+".", at)
				continue
			}
			key := Key{Name: path + name, Doc: doc, index: at, Secret: f.Type == reflect.TypeFor[Secret]()}
			key.Env = "ONSITE_" + strings.ToUpper(strings.ReplaceAll(key.Name, ".", "_"))
			key.Default = show(defaults.FieldByIndex(at))
			out = append(out, key)
		}
	}
	walk(reflect.TypeFor[Config](), "", nil)
	return out
}

func show(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}

// Shown is one effective setting, for people: secrets are masked.
type Shown struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "" for a default
}

// Effective lists all settings as they hold.
func (c Config) Effective() []Shown {
	v := reflect.ValueOf(c)
	var out []Shown
	for _, k := range Keys() {
		out = append(out, Shown{Key: k.Name, Value: show(v.FieldByIndex(k.index)), Source: c.Given(k.Name)})
	}
	return out
}

// Table is the table of settings in docs/operations.md.
func Table() string {
	var b strings.Builder
	b.WriteString("| key | variable | default | what |\n|---|---|---|---|\n")
	for _, k := range Keys() {
		def := ""
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		doc := k.Doc
		if k.Secret {
			doc += " (secret)"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", k.Name, k.Env, def, strings.ReplaceAll(doc, "|", "\\|"))
	}
	return b.String()
}

// nearest gives the known name that a misspelt one is likely to mean, "" when none is near.
func nearest(name string, known []string) string {
	best, at := "", len(name)/3+1
	for _, k := range known {
		if d := distance(name, k); d < at || d == at && best == "" {
			best, at = k, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
