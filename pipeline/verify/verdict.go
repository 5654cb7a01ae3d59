package verify

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"gocv.io/x/gocv"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/authenticity"
	"onsite/pipeline/challenge"
	"onsite/pipeline/liveness"
	"onsite/pipeline/media"
	"onsite/pipeline/place"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
)

// NewJob makes a job id: a ULID, sortable by time.
func NewJob() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

// verdict puts the checks together.
func (r *run) verdict() (pipeline.Verdict, error) {
	claim, err := ClaimDigest(r.Claim)
	if err != nil {
		return pipeline.Verdict{}, err
	}
	v := pipeline.Verdict{
		Schema: pipeline.Schema, Job: r.Claim.Job, Tenant: r.Claim.Tenant, Subject: r.Claim.Subject, Site: r.Claim.Site,
		Media: r.mediaInfo(), Checks: r.checks, Models: r.modelRefs(), Policy: r.Policy.Digest(), Onsite: Version,
		Runtime: r.runtime(), Inputs: pipeline.Inputs{Claim: claim}, Revision: 1, TimingsMS: r.timings(),
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	if r.Revisions != nil {
		v.Inputs.EnrolmentRev, v.Inputs.SiteRev = r.Revisions.Enrolment, r.Revisions.Site
	} else {
		if r.Subject != nil {
			v.Inputs.EnrolmentRev = max(1, r.Subject.Revision)
		}
		if r.Place != nil {
			v.Inputs.SiteRev = max(1, r.Place.Revision)
		}
	}
	if r.History != nil {
		v.Inputs.HistoryAsOf = r.History.AsOf()
		if m, ok := r.History.(reuse.Marked); ok {
			v.Inputs.MarksAsOf = m.MarksAsOf()
		}
	}
	if r.clip.Info.Kind == media.Photo {
		for name, c := range r.checks {
			r.checks[name] = policy.OfPhoto(c)
		}
	}
	v.Decision, v.Reasons = r.Policy.Decide(r.checks)
	if v.Reasons == nil {
		v.Reasons = []pipeline.Reason{}
	}
	if r.measuring {
		Unverified(&v)
	}
	if v.Recipe, err = r.recipe(v); err != nil {
		return pipeline.Verdict{}, err
	}
	return v, nil
}

func (r *run) mediaInfo() pipeline.MediaInfo {
	i := r.clip.Info
	m := pipeline.MediaInfo{
		SHA256: i.SHA256, Kind: string(i.Kind), Bytes: i.Bytes, Container: i.Container, Codec: i.Codec,
		Width: i.Width, Height: i.Height, DurationMS: i.Duration.Milliseconds(), FPS: i.FPS, Keyframes: []pipeline.Keyframe{},
	}
	for n, f := range r.clip.Frames {
		k := pipeline.Keyframe{Index: n, PTSMS: f.PTS.Milliseconds()}
		if n < len(r.print.Stills) {
			k.PHash = r.print.Stills[n].PDQ[0].String()
		}
		m.Keyframes = append(m.Keyframes, k)
	}
	return m
}

// modelRefs lists the models of the tasks that this job's checks use, whether or not a face or a sign was there to run them on: the list
// must not depend on what other jobs of the process did.
func (r *run) modelRefs() []pipeline.ModelRef {
	refs := []pipeline.ModelRef{}
	for _, task := range r.tasks() {
		ref := r.Models.Ref(task)
		refs = append(refs, pipeline.ModelRef{Task: string(ref.Task), Name: ref.Name, Version: ref.Version, SHA256: ref.SHA256})
	}
	return refs
}

func (r *run) tasks() []models.Task {
	var tasks []models.Task
	ran := func(name pipeline.CheckName) bool { return r.checks[name].Outcome != pipeline.NotChecked }
	if ran(pipeline.CheckFace) {
		tasks = append(tasks, models.FaceDetect, models.FaceLandmark, models.FaceEmbed)
	} else if ran(pipeline.CheckLiveness) {
		tasks = append(tasks, models.FaceDetect, models.FaceLandmark)
	}
	if ran(pipeline.CheckLiveness) {
		tasks = append(tasks, models.Liveness)
	}
	if ran(pipeline.CheckScene) {
		tasks = append(tasks, r.Place.Tasks(SceneConfig(r.Policy))...)
	}
	return r.recordingTasks(tasks)
}

func (r *run) runtime() pipeline.Runtime {
	return pipeline.Runtime{
		Provider: string(r.Models.Provider()), ONNXRuntime: r.Models.Runtime(), Libav: r.clip.Libav, OpenCV: OpenCV(), CPU: cpuName(), Sandbox: r.clip.Sandbox,
		ModelSet: r.Under,
	}
}

// OpenCV is the version of the library that does the pixel work.
func OpenCV() string { return gocv.OpenCVVersion() }

func (r *run) timings() map[string]float64 {
	t := map[string]float64{}
	for s, c := range r.cost {
		t[string(s)] = float64(c.Wall.Microseconds()) / 1000
	}
	return t
}

// recipe is one digest over everything that decides besides the inputs: models, policy, the checks' settings and fitted numbers, how media is
// decoded, program and libraries. The machine's processor is not part of it, and neither is what a consent or a challenge changes in one
// job's decoding: these are inputs.
func (r *run) recipe(v pipeline.Verdict) (string, error) {
	return digest(map[string]any{
		"models": v.Models, "manifests": r.manifests(v.Models), "policy": v.Policy, "onsite": v.Onsite, "onnxruntime": v.Runtime.ONNXRuntime, "libav": v.Runtime.Libav,
		"opencv": v.Runtime.OpenCV, "provider": v.Runtime.Provider,
		"settings": map[string]any{
			"face": faceConfig(r.Models, r.Policy), "liveness": livenessConfig(r.Policy), "scene": SceneConfig(r.Policy), "reuse": reuseConfig(r.Policy),
			"place":        place.DefaultConfig(),
			"authenticity": authenticityConfig(r.wants(pipeline.CheckFace)), "speech": speechConfig(r.Policy),
			"liveness_weights": liveness.WeightsDigest(), "authenticity_tables": authenticity.TablesDigest(), "challenge": challenge.Bounds(),
			"decode": media.DefaultRequest(), "follow": []int64{followLength.Milliseconds(), followSide},
		},
	})
}

// manifests gives the digests of the manifests by task: the same file, fed or read in another way, is another recipe.
func (r *run) manifests(refs []pipeline.ModelRef) map[string]string {
	out := map[string]string{}
	for _, ref := range refs {
		out[ref.Task] = r.Models.ManifestDigest(models.Task(ref.Task))
	}
	return out
}

// ClaimDigest is a claim as a verdict's inputs name it.
func ClaimDigest(c pipeline.Claim) (string, error) { return digest(c) }

// digest is the sha256 of a value's JSON; encoding/json sorts the keys of maps and keeps the order of structs.
func digest(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("digest of %T: %w", v, err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// cpuName is the processor's own name, the architecture where the kernel does not tell.
var cpuName = sync.OnceValue(func() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
})
