package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/authenticity"
	"onsite/pipeline/challenge"
	"onsite/pipeline/face"
	"onsite/pipeline/liveness"
	"onsite/pipeline/media"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/pipeline/reuse"
	"onsite/pipeline/scene"
)

// Version is the program's version; the build sets it.
var Version = "dev"

// Verifier is the verification core: made once, used for many jobs at a time. It owns neither the decoder nor the models.
type Verifier struct {
	Decoder *media.Decoder
	Models  *models.Set
}

// Job is one submission with its person and place already prepared, so that a service prepares them once for many jobs.
type Job struct {
	Claim   pipeline.Claim
	Media   pipeline.Media
	Subject *Subject         // nil: nobody to compare with
	Consent bool             // false: no face processing of any kind
	Place   *Place           // nil: no place to compare with
	Site    *pipeline.Site   // where it lies: fence, beacons, time zone; its references are Place's. nil: no site
	History pipeline.History // nil: no earlier footage
	Trail   pipeline.Trail   // nil: nothing is known of earlier claims
	// Received is when the upload came, by the server's clock; zero: not known.
	Received time.Time
	Policy   policy.Policy // the zero policy: video15 for clips, photo for photos
	// Challenge is what was asked of the person for this recording, and what became of it meanwhile; nil: the submission answers none.
	Challenge *challenge.Given
	// Hear says that the sound may be listened to: the person consented to it. Without it no sound is decoded, whatever the policy asks.
	Hear bool
	// InTurn runs the parts one after the other on one thread, as a re-verification and a measurement want it; else they run side by side.
	InTurn bool
	// Under names the set of models for the verdict, where it comes of a registry; nil: they are those that the program brings along.
	Under *pipeline.ModelSet
	// Revisions are those of the enrolment and the site as the verdict names them; nil: those of Subject and Place, 1 where they have none.
	Revisions *Revisions
	// Picture asks for what a report shows, Keyframes for its keyframes alone; both cost time that a verdict does not need.
	Picture   bool
	Keyframes bool
	// Progress is told when a stage begins (false) and ends (true); nil is fine. It may be called from several goroutines.
	Progress func(s Stage, done bool)
}

// Revisions says which of the caller's revisions a job was prepared from.
type Revisions struct{ Enrolment, Site int }

// Result is a verdict with what was seen on the way. Biometric parts are in memory only.
type Result struct {
	Verdict     pipeline.Verdict
	Fingerprint reuse.Fingerprint
	Costs       map[Stage]Cost
	Child       media.Usage
	// Keyframes are JPEG pictures in which other people are blurred: with Job.Picture up to 24; with Job.Keyframes alone 3 of what passes
	// and up to 12 of what does not, those that evidence points to first. There are none where faces were not looked for: then nobody could
	// be blurred.
	Keyframes []report.Picture
	Album     Album // empty unless Job.Picture
}

// ReferenceError says that an enrolled or a reference photo cannot be used: not the submitted media, but what it is compared with.
type ReferenceError struct {
	Name string
	Err  error
}

func (e *ReferenceError) Error() string { return fmt.Sprintf("reference %s: %v", e.Name, e.Err) }

// Unwrap gives the cause, which has the words for people.
func (e *ReferenceError) Unwrap() error { return e.Err }

// Place is a site made ready for matching. It must be closed.
type Place struct {
	*scene.Site
	Pictures []report.Reference // what a report shows of the site's references
}

// Prepare decodes a site's reference photos and computes what frames are matched with. With pictures, reports can show the references;
// that looks for faces in them, to blur them, and so is left out where no face may be processed.
func (v *Verifier) Prepare(ctx context.Context, site *pipeline.Site, pictures bool) (*Place, error) {
	p := &Place{}
	shots := map[pipeline.Media]report.Reference{}
	s, err := scene.Prepare(ctx, site, func(ctx context.Context, m pipeline.Media) (*media.Clip, error) {
		clip, err := v.Decode(ctx, m)
		if err != nil || !pictures {
			return clip, err
		}
		if shots[m], err = v.shot(ctx, clip); err != nil {
			clip.Close()
			return nil, err
		}
		return clip, nil
	})
	if err != nil {
		return nil, atFault(site.ID, err)
	}
	p.Site = s
	for _, r := range site.References {
		if shot, ok := shots[r.Media]; ok {
			shot.Kind, shot.Name = string(r.Kind), r.Name
			p.Pictures = append(p.Pictures, shot)
		}
	}
	return p, nil
}

// Decode decodes a photo or a clip with the default request, without its sound.
func (v *Verifier) Decode(ctx context.Context, m pipeline.Media) (*media.Clip, error) {
	return v.Decoder.Decode(ctx, m, media.DefaultRequest())
}

// DecodeSound decodes with the sound too, which the fingerprint then hears.
func (v *Verifier) DecodeSound(ctx context.Context, m pipeline.Media) (*media.Clip, error) {
	request := media.DefaultRequest()
	request.Audio = true
	return v.Decoder.Decode(ctx, m, request)
}

// Verify prepares the person and the place of a submission and runs it: the whole way for a caller with one job.
func (v *Verifier) Verify(ctx context.Context, s pipeline.Submission, p policy.Policy) (pipeline.Verdict, error) {
	job := Job{Claim: s.Claim, Media: s.Media, Consent: s.Consent, Hear: s.Consent, History: s.History, Policy: p, Site: s.Site, Trail: s.Trail, Received: s.Received}
	var err error
	if s.Consent && len(s.Faces) > 0 && WantsFace(p, s.Site != nil) {
		if job.Subject, err = v.Enroll(ctx, s.Faces, false); err != nil {
			return pipeline.Verdict{}, err
		}
	}
	if s.Site != nil && len(s.Site.References)+len(s.Site.SignNames) > 0 {
		if job.Place, err = v.Prepare(ctx, s.Site, false); err != nil {
			return pipeline.Verdict{}, err
		}
		defer job.Place.Close()
	}
	r, err := v.Run(ctx, job)
	return r.Verdict, err
}

// WantsFace says whether faces are looked at under a policy; the default policies, which the kind of media chooses, do.
func WantsFace(p policy.Policy, hasSite bool) bool {
	return p.Name == "" || p.Wants(pipeline.CheckFace, hasSite, true)
}

// run is the state of one job while its checks run side by side.
type run struct {
	*Verifier
	Job
	*meter
	measuring bool // no model runs, see Measure
	clip      *media.Clip
	found     face.Found
	faces     chan struct{}   // closed once found is settled, whatever became of the search
	track     *liveness.Track // of the face over the bursts, once it was followed
	heard     *heard          // of the sound, once it was listened to

	mu     sync.Mutex
	checks map[pipeline.CheckName]pipeline.Check
	shown  shown
	print  reuse.Fingerprint
	past   []reuse.Candidate // what the reuse check compared with
	prints error
}

// Run verifies one prepared job. Errors are: a *media.Refusal for media that cannot be taken, a *PolicyError, a missing or broken model, a
// cancelled context. A check that breaks off is no error: it is a check with the outcome "error", which leads to review.
func (v *Verifier) Run(ctx context.Context, j Job) (Result, error) {
	return v.newRun(j).whole(ctx)
}

func (v *Verifier) newRun(j Job) *run {
	return &run{Verifier: v, Job: j, meter: newMeter(j.Progress), checks: map[pipeline.CheckName]pipeline.Check{}, faces: make(chan struct{})}
}

func (r *run) whole(ctx context.Context) (Result, error) {
	began := time.Now()
	if err := r.stage(ctx, StageDecode, r.decode); err != nil {
		return Result{}, err
	}
	defer r.clip.Close()
	if err := r.choosePolicy(); err != nil {
		return Result{}, err
	}
	parts := []func(context.Context) error{r.person, r.place, r.footage}
	if r.measuring {
		parts = []func(context.Context) error{r.noModels, r.footage}
	}
	if err := r.sideBySide(ctx, parts...); err != nil {
		return Result{}, err
	}
	r.keepViews()
	if err := r.ground(ctx); err != nil {
		return Result{}, err
	}
	if err := r.recording(ctx); err != nil {
		return Result{}, err
	}
	out := Result{Fingerprint: r.print, Child: r.clip.Usage}
	if err := r.pictures(ctx, &out); err != nil {
		return Result{}, err
	}
	r.add(StageTotal, Cost{Wall: time.Since(began)})
	out.Costs = r.cost
	verdict, err := r.verdict()
	if err != nil {
		return Result{}, err
	}
	out.Verdict = verdict
	return out, nil
}

// choosePolicy takes the default policy of the kind of media where none was named, and refuses media that the policy does not take.
func (r *run) choosePolicy() error {
	if r.Policy.Name == "" {
		p, err := DefaultPolicy(string(r.clip.Info.Kind))
		if err != nil {
			return err
		}
		r.Policy = p
	}
	return accept(r.Policy, r.clip.Info)
}

// DefaultPolicy is the built-in policy of a kind of media.
func DefaultPolicy(kind string) (policy.Policy, error) {
	if kind == string(media.Photo) {
		return policy.Default("photo")
	}
	return policy.Default("video15")
}

// Crash is what sideBySide panics with when one of its parts did, so that whoever called the verifier can recover.
type Crash struct {
	value any
	stack []byte
}

// Origin gives what the part panicked with, and the stack of where.
func (c *Crash) Origin() (value any, stack []byte) { return c.value, c.stack }

// sideBySide runs parts that do not need each other; every error that ends the job is told.
func (r *run) sideBySide(ctx context.Context, parts ...func(context.Context) error) error {
	errs := make([]error, len(parts))
	if r.InTurn {
		for i, part := range parts {
			errs[i] = part(ctx)
		}
		return errors.Join(errs...)
	}
	var wait sync.WaitGroup
	crashes := make([]*Crash, len(parts))
	for i, part := range parts {
		wait.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					crashes[i] = &Crash{value: p, stack: debug.Stack()}
				}
			}()
			errs[i] = part(ctx)
		})
	}
	wait.Wait()
	for _, c := range crashes {
		if c != nil {
			panic(c)
		}
	}
	return errors.Join(errs...)
}

func (r *run) decode(ctx context.Context) error {
	clip, err := r.Decoder.Decode(ctx, r.Media, r.request())
	if err != nil {
		return err
	}
	r.clip = clip
	r.add(StageDecode, Cost{CPU: clip.Usage.CPU})
	return nil
}

// person runs what looks at faces: face, then liveness on the faces that were found. Without consent, or when the policy wants neither,
// no face model is called.
func (r *run) person(ctx context.Context) error {
	settled := sync.OnceFunc(func() { close(r.faces) })
	defer settled()
	wantFace, wantLive := r.wants(pipeline.CheckFace), r.wants(pipeline.CheckLiveness)
	if why, off := r.noFaces(wantFace || wantLive); off {
		r.set(pipeline.CheckFace, notChecked(why))
		r.set(pipeline.CheckLiveness, notChecked(why))
		return nil
	}
	matcher := face.New(r.Models, faceConfig(r.Models, r.Policy))
	err := r.stage(ctx, StageFace, func(ctx context.Context) error {
		found, err := matcher.Find(ctx, r.clip)
		if err != nil {
			return r.broke(pipeline.CheckFace, err)
		}
		r.found = found
		settled()
		if !wantFace {
			r.set(pipeline.CheckFace, notChecked(policy.WhyNotWanted))
			return nil
		}
		if r.Subject == nil || len(r.Subject.Templates) == 0 {
			r.set(pipeline.CheckFace, notChecked(policy.WhyNoReference))
			return nil
		}
		check, result, err := matcher.Match(ctx, r.clip, found, r.Subject.Templates)
		if err != nil {
			return r.broke(pipeline.CheckFace, err)
		}
		r.shown.face = result
		r.set(pipeline.CheckFace, check)
		return nil
	})
	if err != nil {
		return err
	}
	if !wantLive {
		r.set(pipeline.CheckLiveness, notChecked(policy.WhyNotWanted))
		return nil
	}
	if !r.looked() {
		// Looking for faces broke off: that nobody was found says nothing.
		r.set(pipeline.CheckLiveness, r.get(pipeline.CheckFace))
		return nil
	}
	return r.stage(ctx, StageLiveness, func(ctx context.Context) error {
		track, err := r.follow(ctx)
		if err != nil {
			return r.broke(pipeline.CheckLiveness, err)
		}
		clip, part := r.clip, track
		if r.follows() {
			q := media.DefaultRequest()
			clip, part = liveness.Windows(clip, track, q.Bursts, q.BurstLength)
		}
		check, err := liveness.Check(ctx, r.Models, clip, r.found, part, livenessConfig(r.Policy))
		if err != nil {
			return r.broke(pipeline.CheckLiveness, err)
		}
		if r.skin() {
			noteSkin(&check, r.clip, track)
		}
		r.set(pipeline.CheckLiveness, check)
		return nil
	})
}

// looked says that faces were looked for in all frames, whoever was found.
func (r *run) looked() bool { return len(r.found.Frames) > 0 }

// noFaces says whether face processing is off for this job, and why.
func (r *run) noFaces(wanted bool) (string, bool) {
	switch {
	case !wanted:
		return policy.WhyNotWanted, true
	case !r.Consent:
		return policy.WhyNoConsent, true
	}
	return "", false
}

// place runs the scene check.
func (r *run) place(ctx context.Context) error {
	if r.Place == nil {
		r.set(pipeline.CheckScene, notChecked(policy.WhyNoSite))
		return nil
	}
	if !r.wants(pipeline.CheckScene) {
		r.set(pipeline.CheckScene, notChecked(policy.WhyNotWanted))
		return nil
	}
	cfg := SceneConfig(r.Policy)
	if slices.Contains(cfg.Want, scene.Person) {
		// Faces answer whether somebody is in view. They are waited for, so that the answer is that of a run in turn.
		select {
		case <-r.faces:
			cfg.People = len(r.found.Tracks)
		case <-ctx.Done():
			return fmt.Errorf("check %s: %w", pipeline.CheckScene, ctx.Err())
		}
	}
	return r.stage(ctx, StageScene, func(ctx context.Context) error {
		check, result, err := scene.Check(ctx, r.Models, r.clip, r.Place.Site, r.takenAt(), cfg)
		if err != nil {
			return r.broke(pipeline.CheckScene, err)
		}
		r.shown.scene = result
		r.set(pipeline.CheckScene, check)
		return nil
	})
}

// footage runs what looks at the recording itself: authenticity, the fingerprint, and reuse against the history.
func (r *run) footage(ctx context.Context) error {
	if !r.wants(pipeline.CheckAuthenticity) {
		r.set(pipeline.CheckAuthenticity, notChecked(policy.WhyNotWanted))
	} else if r.clip.Info.Kind == media.Photo && r.Policy.Checks[pipeline.CheckAuthenticity].Need == policy.WithVideo {
		r.set(pipeline.CheckAuthenticity, notChecked(policy.WhyPhotoNoTime)) // such a policy excuses photos, whatever their files say
	} else if err := r.stage(ctx, StageAuthenticity, func(context.Context) error {
		check := authenticity.Check(r.clip, authenticityConfig(r.wants(pipeline.CheckFace)))
		said := authenticity.Said{Received: r.Received}
		if r.dated() {
			said.Taken = r.Claim.TakenAt
		}
		authenticity.Clock(&check, &r.clip.Info, said)
		r.set(pipeline.CheckAuthenticity, check)
		return nil
	}); err != nil {
		return err
	}
	// The fingerprint is made whatever the policy says: it is how later uploads are compared with this one, and verdicts name it.
	if err := r.stage(ctx, StageFingerprint, func(context.Context) error {
		seen := *r.clip
		if !r.Policy.Reuse.Audio { // it may have been decoded for another check
			seen.PCM = nil
		}
		r.print, r.prints = reuse.Compute(&seen)
		return nil
	}); err != nil {
		return err
	}
	switch {
	case !r.wants(pipeline.CheckReuse):
		r.set(pipeline.CheckReuse, notChecked(policy.WhyNotWanted))
		return nil
	case r.enrolledAgain():
		return nil
	case r.History == nil:
		r.set(pipeline.CheckReuse, notChecked(policy.WhyNoHistory))
		return nil
	}
	return r.stage(ctx, StageReuse, r.reused)
}

// enrolledAgain catches an enrolled photo that is handed in as new: the same bytes need no history to be known.
func (r *run) enrolledAgain() bool {
	if r.Subject == nil {
		return false
	}
	name, ok := r.Subject.Sums[r.clip.Info.SHA256]
	if !ok {
		return false
	}
	score, threshold := 1.0, reuseConfig(r.Policy).Threshold
	r.set(pipeline.CheckReuse, pipeline.Check{
		Outcome: pipeline.Fail, Score: &score, Threshold: &threshold, Frames: len(r.clip.Frames), Detail: map[string]any{"identical": "enrolled photo"},
		Findings: []pipeline.Finding{{
			Code: pipeline.FootageReused, Outcome: pipeline.Fail, Certain: true, Args: map[string]string{"job": name},
			Evidence: []pipeline.Evidence{{Kind: "match", Reference: name, Score: &score, Threshold: &threshold}},
		}},
	})
	return true
}

func (r *run) reused(ctx context.Context) error {
	if r.prints != nil {
		return r.broke(pipeline.CheckReuse, r.prints)
	}
	candidates, err := r.earlier(ctx)
	if err != nil {
		return r.broke(pipeline.CheckReuse, err)
	}
	check, result, err := reuse.Check(ctx, r.print, candidates, r.History.Missing(), reuseConfig(r.Policy).WithMarks(r.History))
	if err != nil {
		return r.broke(pipeline.CheckReuse, err)
	}
	r.shown.reuse, r.past = result, candidates
	r.set(pipeline.CheckReuse, check)
	return nil
}

// keepViews puts what the scene embedder saw into the fingerprint. The embedder ran where the scene check needed it and only there: the
// fingerprint is made beside that check and does not wait for it, so both are brought together at the end. No
// verdict hangs on them: views that cannot be kept are left out, and the scene check's detail says why ("views_left_out").
func (r *run) keepViews() {
	if r.print.SHA256 == "" {
		return
	}
	for _, v := range r.shown.scene.Views {
		if err := r.print.Views.Add(v.Model, v.At, v.V); err != nil {
			r.print.Views = reuse.Views{}
			check := r.get(pipeline.CheckScene)
			if check.Detail == nil {
				check.Detail = map[string]any{}
			}
			check.Detail["views_left_out"] = err.Error()
			r.set(pipeline.CheckScene, check)
			return
		}
	}
	if check := r.get(pipeline.CheckReuse); check.Detail != nil {
		reuse.NoteViews(&check, &r.print, r.past)
	}
}

func (r *run) wants(c pipeline.CheckName) bool {
	return r.Policy.Wants(c, r.Place != nil, r.History != nil)
}

func (r *run) set(name pipeline.CheckName, c pipeline.Check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks[name] = c
}

func (r *run) get(name pipeline.CheckName) pipeline.Check {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.checks[name]
}

// broke turns a check's error into the check's outcome, unless the error ends the job: nobody may be told "review" because a model file
// is missing or because the caller went away.
func (r *run) broke(name pipeline.CheckName, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || models.Unusable(err) {
		return fmt.Errorf("check %s: %w", name, err)
	}
	r.set(name, pipeline.Check{Outcome: pipeline.Error, Why: err.Error()})
	return nil
}

func notChecked(why string) pipeline.Check {
	return pipeline.Check{Outcome: pipeline.NotChecked, Why: why}
}
