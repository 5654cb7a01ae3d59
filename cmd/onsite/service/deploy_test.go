package service

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"onsite/api"
	"onsite/cmd/onsite/config"
	"onsite/workers"
	"onsite/workers/archive"
	"onsite/workers/intake"
	"onsite/workers/notary"
	"onsite/workers/registry"
	"onsite/workers/webhook"
)

const root = "../../../"

// listing notes the names of what is registered.
type listing struct{ names map[string]bool }

func (l listing) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 64)
	go func() {
		c.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		l.names[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	return nil
}

func (l listing) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = l.Register(c)
	}
}

func (l listing) Unregister(prometheus.Collector) bool { return false }

// metrics are the names of all metrics that the service has.
func metrics() map[string]bool {
	l := listing{map[string]bool{}}
	api.NewMetrics(l)
	workers.NewMetrics(l)
	intake.NewMetrics(l)
	webhook.NewMetrics(l)
	notary.NewMetrics(l)
	registry.NewMetrics(l)
	archive.NewMetrics(l)
	l.MustRegister(newModelNumbers(nil))
	return l.names
}

var metricName = regexp.MustCompile(`\bonsite_[a-z_]+`)

// requireKnown holds the metrics that a text names against those that exist.
func requireKnown(t *testing.T, text string) {
	t.Helper()
	known := metrics()
	for _, name := range metricName.FindAllString(text, -1) {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && known[base] {
				name = base
			}
		}
		require.True(t, known[name], "there is no metric %s", name)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(root + path)
	require.NoError(t, err)
	return string(raw)
}

func TestDashboardNamesMetricsThatExist(t *testing.T) {
	text := read(t, "deploy/grafana/onsite.json")
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &board))
	require.NotEmpty(t, board.Panels)
	var all []string
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			requireKnown(t, target.Expr)
			all = append(all, target.Expr)
		}
	}
	// What operations must see is on it.
	for _, name := range []string{
		"onsite_accepted_total", "onsite_verdicts_total", "onsite_reasons_total", "onsite_refused_total", "onsite_jobs", "onsite_queue_age_seconds",
		"onsite_stage_seconds", "onsite_reconciler_total", "onsite_webhook_lag_seconds", "onsite_webhook_attempts_total", "onsite_http_seconds",
		"onsite_model_seconds_total", "onsite_model_batch_items_total",
	} {
		require.Contains(t, strings.Join(all, "\n"), name)
	}
}

func TestAlertsNameMetricsAndRunbooksThatExist(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				Annotations struct{ Summary, Runbook string }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/prometheus/alerts.yaml")), &rules))
	headings := headingsOf(read(t, "docs/operations.md"))
	require.NotEmpty(t, rules.Groups[0].Rules)
	for _, r := range rules.Groups[0].Rules {
		require.NotEmpty(t, r.Alert)
		requireKnown(t, r.Expr)
		_, anchor, _ := strings.Cut(r.Annotations.Runbook, "docs/operations.md#")
		require.True(t, headings[anchor], "%s: no heading %q in docs/operations.md", r.Alert, anchor)
	}
}

// The routes that the pages name are in the API's description.
func TestPagesNameRoutesThatExist(t *testing.T) {
	var api struct {
		Paths map[string]map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "api/testdata/openapi.json")), &api))
	for _, page := range []string{"docs/operations.md", "README.md", "README.zh-CN.md", "deploy/container/compose.yaml"} {
		for _, m := range regexp.MustCompile(`(GET|POST|PUT|PATCH|DELETE) (/v1/[a-z0-9/{}-]+)`).FindAllStringSubmatch(read(t, page), -1) {
			require.Contains(t, api.Paths[m[2]], strings.ToLower(m[1]), "%s names %s", page, m[0])
		}
	}
	require.Contains(t, api.Paths, "/v1/events/s3", "to which deploy/container/compose.yaml sends")
	require.Contains(t, api.Paths, "/v1/intake-events")
}

// headingsOf gives the anchors of a page's headings as GitHub makes them.
func headingsOf(page string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchor := strings.ToLower(strings.TrimSpace(title))
			anchor = regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(anchor, "")
			out[strings.ReplaceAll(anchor, " ", "-")] = true
		}
	}
	return out
}

func TestPageNamesEveryMetric(t *testing.T) {
	page := read(t, "docs/operations.md")
	requireKnown(t, page)
	for name := range metrics() {
		require.True(t, strings.Contains(page, "`"+name+"`"), "docs/operations.md does not list %s", name) //nolint:testifylint // Contains would print the whole page
	}
}

// The files for containers and systemd set only what the program knows, and are what they claim to be.
func TestDeployedSettingsAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, k := range config.Keys() {
		known[k.Env], known[k.Env+"_FILE"] = true, true
	}
	for name := range config.Others {
		known[name] = true
	}
	files := []string{"deploy/container/compose.yaml", "deploy/container/Containerfile", "deploy/container/Containerfile.gpu", "deploy/kubernetes/worker.yaml", "deploy/kubernetes/worker-shards.yaml"}
	units, err := filepath.Glob(root + "deploy/systemd/*")
	require.NoError(t, err)
	require.Len(t, units, 4)
	for _, u := range units {
		files = append(files, strings.TrimPrefix(u, root))
	}
	for _, file := range files {
		text := read(t, file)
		for _, name := range regexp.MustCompile(`\bONSITE_[A-Z0-9_]+`).FindAllString(text, -1) {
			require.True(t, known[name] || strings.HasSuffix(name, "_ONSITE"), "%s sets %s, which nothing reads", file, name)
		}
		require.Regexp(t, `(?i)not run (here|against)|checked with`, text, "%s says what could not be run", file)
	}
	for _, file := range []string{"deploy/container/compose.yaml", "deploy/prometheus/scrape.yaml"} {
		var tree map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(read(t, file)), &tree), file)
		require.NotEmpty(t, tree)
	}
	for _, u := range units[1:] {
		raw, err := os.ReadFile(u)
		require.NoError(t, err)
		for _, want := range []string{"[Unit]", "[Service]", "[Install]", "ExecStart=/usr/bin/onsite ", "KillMode=mixed", "Restart=always"} {
			require.Contains(t, string(raw), want, u)
		}
	}
}

// The root of the containers is read-only: models of the registry go into a volume.
func TestFetchedModelsHaveAVolume(t *testing.T) {
	for _, file := range []string{"deploy/container/Containerfile", "deploy/container/Containerfile.gpu"} {
		require.Contains(t, read(t, file), "ONSITE_WORKER_REGISTRY_DIR=/data/", file)
	}
	for _, file := range []string{"deploy/container/compose.yaml", "deploy/kubernetes/worker.yaml", "deploy/systemd/onsite-worker@.service"} {
		require.Contains(t, read(t, file), "ONSITE_WORKER_INDEX_DIR", "%s: without a folder a worker reads all frame hashes at every start", file)
	}
	var compose struct {
		Onsite struct {
			ReadOnly bool `yaml:"read_only"`
			Volumes  []string
		} `yaml:"x-onsite"`
		Volumes map[string]any
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/container/compose.yaml")), &compose))
	require.True(t, compose.Onsite.ReadOnly)
	require.Contains(t, compose.Onsite.Volumes, "onsite:/data")
	require.Contains(t, compose.Volumes, "onsite")
	type named struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	}
	var worker struct {
		Spec struct {
			Template struct {
				Spec struct {
					SecurityContext struct {
						FSGroup int `yaml:"fsGroup"`
					} `yaml:"securityContext"`
					Containers []struct {
						VolumeMounts []named `yaml:"volumeMounts"`
					}
					Volumes []named
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/kubernetes/worker.yaml")), &worker))
	pod := worker.Spec.Template.Spec
	require.Equal(t, 10001, pod.SecurityContext.FSGroup, "the user of the image may write to it")
	require.Contains(t, pod.Containers[0].VolumeMounts, named{"data", "/data"})
	require.Contains(t, pod.Volumes, named{Name: "data"})
}

// The shards of the example are as many as its pods, and each has a URL under its own name.
func TestShardsOfTheExample(t *testing.T) {
	var service struct {
		Metadata struct{ Name string }
		Spec     struct{ Ports []struct{ Port int } }
	}
	var set struct {
		Metadata struct{ Name string }
		Spec     struct {
			ServiceName string `yaml:"serviceName"`
			Replicas    int
			Ordinals    struct{ Start int }
			Template    struct {
				Spec struct {
					Containers []struct {
						Env []struct{ Name, Value string }
					}
				}
			}
		}
	}
	first, second, ok := strings.Cut(read(t, "deploy/kubernetes/worker-shards.yaml"), "\n---\n")
	require.True(t, ok)
	require.NoError(t, yaml.Unmarshal([]byte(first), &service))
	require.NoError(t, yaml.Unmarshal([]byte(second), &set))
	require.Equal(t, service.Metadata.Name, set.Spec.ServiceName)
	env := map[string]string{}
	for _, e := range set.Spec.Template.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	require.Equal(t, 1, set.Spec.Ordinals.Start)
	require.Equal(t, fmt.Sprintf("$(ORDINAL)/%d", set.Spec.Replicas), env["ONSITE_WORKER_INDEX_SHARD"])
	var urls []string
	for k := 1; k <= set.Spec.Replicas; k++ {
		urls = append(urls, fmt.Sprintf("http://%s-%d.%s:%d", set.Metadata.Name, k, set.Spec.ServiceName, service.Spec.Ports[0].Port))
	}
	require.Equal(t, strings.Join(urls, ","), env["ONSITE_WORKER_INDEX_PEERS"])
}

// The lists of packages are sorted and have no entry twice, and the image gets what the programs are linked with.
func TestPackageLists(t *testing.T) {
	for _, list := range []string{"apt-build.txt", "apt-run.txt", "apt-test.txt"} {
		var names []string
		for line := range strings.Lines(read(t, "deploy/setup/"+list)) {
			if name := strings.TrimSpace(line); name != "" && !strings.HasPrefix(name, "#") {
				names = append(names, name)
			}
		}
		require.NotEmpty(t, names)
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names), list)
	}
	require.Contains(t, read(t, "deploy/setup/apt-run.txt"), "redis-server\n")
}

// The rules that scale workers are YAML of the kinds that they claim to be, scale the same deployment, and go by metrics that exist.
func TestScalingRules(t *testing.T) {
	type behaviour struct {
		ScaleDown struct {
			StabilizationWindowSeconds int `yaml:"stabilizationWindowSeconds"`
		} `yaml:"scaleDown"`
	}
	var deployment struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct {
			Template struct {
				Spec struct {
					TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
					Containers                    []struct{ Args []string }
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/kubernetes/worker.yaml")), &deployment))
	require.Equal(t, "Deployment", deployment.Kind)
	require.Greater(t, float64(deployment.Spec.Template.Spec.TerminationGracePeriodSeconds), config.Defaults().Worker.DrainTimeout.Seconds())
	require.Equal(t, []string{"worker"}, deployment.Spec.Template.Spec.Containers[0].Args)

	var keda struct {
		Kind string
		Spec struct {
			ScaleTargetRef  struct{ Name string } `yaml:"scaleTargetRef"`
			MinReplicaCount int                   `yaml:"minReplicaCount"`
			Advanced        struct {
				HorizontalPodAutoscalerConfig struct{ Behavior behaviour } `yaml:"horizontalPodAutoscalerConfig"`
			}
			Triggers []struct {
				Type     string
				Metadata map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/kubernetes/scale-keda.yaml")), &keda))
	require.Equal(t, "ScaledObject", keda.Kind)
	require.Equal(t, deployment.Metadata.Name, keda.Spec.ScaleTargetRef.Name)
	require.Positive(t, keda.Spec.MinReplicaCount)
	require.Equal(t, 600, keda.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown.StabilizationWindowSeconds)
	require.Len(t, keda.Spec.Triggers, 3)
	require.Contains(t, keda.Spec.Triggers[0].Metadata["query"], "onsite_queue_age_seconds")
	for _, trigger := range keda.Spec.Triggers {
		requireKnown(t, trigger.Metadata["query"])
	}

	var hpa struct {
		Kind string
		Spec struct {
			ScaleTargetRef struct{ Name string } `yaml:"scaleTargetRef"`
			Metrics        []struct {
				External struct{ Metric struct{ Name string } }
			}
			Behavior behaviour
		}
	}
	text := read(t, "deploy/kubernetes/scale-hpa.yaml")
	require.NoError(t, yaml.Unmarshal([]byte(text), &hpa))
	require.Equal(t, "HorizontalPodAutoscaler", hpa.Kind)
	require.Equal(t, deployment.Metadata.Name, hpa.Spec.ScaleTargetRef.Name)
	require.Equal(t, 600, hpa.Spec.Behavior.ScaleDown.StabilizationWindowSeconds)
	for _, m := range hpa.Spec.Metrics {
		require.Contains(t, text, "name: {as: "+m.External.Metric.Name+"}", "the adapter's rules make it")
	}
	for _, m := range regexp.MustCompile(`(?:seriesQuery|metricsQuery): '([^']+)'`).FindAllStringSubmatch(text, -1) {
		requireKnown(t, m[1])
	}
}
