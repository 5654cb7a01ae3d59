package results

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"onsite/pipeline"
)

// Errors of the store. They come wrapped with what was asked; ask with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrConflict = errors.New("was changed meanwhile")                          // If-Match does not hold
	ErrStale    = errors.New("another attempt holds the job")                  // fencing token or state does not hold: end silently
	ErrErased   = errors.New("the subject was erased")                         // its key is destroyed
	ErrKeyReuse = errors.New("the idempotency key was used with another body") // 422
	ErrKeyBusy  = errors.New("a request with this idempotency key is running") // 409
	ErrAway     = errors.New("the store cannot be reached")                    // retry
	ErrFull     = errors.New("too many jobs are waiting")                      // 429
)

// Store is the results store: SQLite on one machine, PostgreSQL on many. Package storetest holds what every implementation must do.
// All methods may be called from many goroutines. Every method that takes a tenant sees only that tenant. Times are UTC, milliseconds.
type Store interface {
	Tenancy
	People
	Configuration
	Intake
	Trail
	Work
	Findings
	Frames
	Marks
	Challenges
	Outbox
	Log
	Registry
	Housekeeping
	// Now is the store's clock: that of the database where it has one, so that machines agree about leases.
	Now() time.Time
	Ping(ctx context.Context) error
	Close() error
}

// Page asks for a part of a list: Limit entries (1 to 500) after the cursor's place. The cursor is an id or a key of the list itself.
// Lists of what happens (jobs, verdicts, intake events, deliveries) have the newest first.
type Page struct {
	After string
	Limit int
}

// Tenancy holds tenants and API keys. The store itself puts the digest of what it writes into the audit entry; a tenant is made without one, with
// settings that say nothing.
type Tenancy interface {
	CreateTenant(ctx context.Context, t Tenant) error // ErrExists
	Tenant(ctx context.Context, id string) (Tenant, error)
	Tenants(ctx context.Context) ([]Tenant, error)
	PutSettings(ctx context.Context, tenant string, s Settings, ifRev int, a AuditEntry) (Tenant, error) // ErrConflict
	CreateKey(ctx context.Context, k APIKey, a AuditEntry) error
	Key(ctx context.Context, id string) (APIKey, error) // also revoked and expired ones
	Keys(ctx context.Context, tenant string) ([]APIKey, error)
	RevokeKey(ctx context.Context, tenant, id string, at time.Time, a AuditEntry) error
}

// People holds subjects, their photos, templates, consents and keys.
type People interface {
	CreateSubject(ctx context.Context, s Subject, a AuditEntry) error // ErrExists, also for an erased one
	Subject(ctx context.Context, tenant, id string) (Subject, error)
	Subjects(ctx context.Context, tenant string, p Page) ([]Subject, error)
	// Relabel changes a subject's label; ErrErased for an erased one.
	Relabel(ctx context.Context, tenant, id, label string, a AuditEntry) (Subject, error)
	// Enrol adds photos with their templates and removes others in one revision; the keys of what was added are no longer pending. A
	// removed photo is gone: its templates are deleted and its row loses the object key, which is pending until the caller has deleted
	// the object. It gives the new revision. ErrConflict when the subject is not at ifRev (negative: whatever it is).
	Enrol(ctx context.Context, tenant, subject string, ifRev int, add []Photo, templates []Template, remove []string, a AuditEntry) (int, error)
	Photos(ctx context.Context, tenant, subject string, rev int) ([]Photo, error)                             // of one enrolment revision; 0: the newest
	Templates(ctx context.Context, tenant, subject string, photos []string, model string) ([]Template, error) // model "": of all of them
	// PutTemplates keeps templates and replaces those of the same photo and model. As with Enrol, those of subjects without a consent to
	// face processing in force are not kept.
	PutTemplates(ctx context.Context, t []Template) error
	// EachTemplate walks over all current templates of one model in a tenant (look-alikes), in batches.
	EachTemplate(ctx context.Context, tenant, model string, fn func(Template) error) error

	GiveConsent(ctx context.Context, c Consent, a AuditEntry) error // a gets the id and the Digest of c
	// WithdrawConsent ends the consents to a purpose, and with those to face processing the templates. ErrNotFound when there is none.
	WithdrawConsent(ctx context.Context, tenant, subject, purpose string, at time.Time, a AuditEntry) error
	Consents(ctx context.Context, tenant, subject string) ([]Consent, error)
	Consented(ctx context.Context, tenant, subject, purpose string) (bool, error)

	// SubjectKey gives the wrapped key, ErrNotFound, or ErrErased for a destroyed one.
	SubjectKey(ctx context.Context, tenant, subject string) (SubjectKey, error)
	CreateSubjectKey(ctx context.Context, k SubjectKey) (SubjectKey, error) // gives the one that is there when another was quicker
	// EraseSubject destroys the key, templates, photos, prints, evidence, claims, challenges, marks and reverifications of a subject in one
	// transaction, refuses its unfinished jobs, puts which entries of the log are hidden from now on into the entry (HiddenDigest), and gives the object keys to delete (they are pending until then). Verdicts stay, without what is biometric in them. Called
	// again it gives the keys that were not deleted yet.
	EraseSubject(ctx context.Context, tenant, subject string, at time.Time, a AuditEntry) ([]string, error)
}

// Configuration holds sites and policies, every revision of them. A deleted one is a revision, too. The store itself puts the digest of what
// it writes (Site.Digest, the Sum of a policy's YAML) into the audit entry.
type Configuration interface {
	PutSite(ctx context.Context, s Site, ifRev int, a AuditEntry) (Site, error) // ifRev 0: must be new; negative: whatever; gives the new revision; ErrConflict
	Site(ctx context.Context, tenant, id string, rev int) (Site, error)         // rev 0: the newest, ErrNotFound when deleted
	Sites(ctx context.Context, tenant string, p Page) ([]Site, error)           // newest revisions, without deleted ones
	SiteRevisions(ctx context.Context, tenant string) ([]Site, error)           // all of them, by id and revision
	PutPolicy(ctx context.Context, p Policy, ifRev int, a AuditEntry) (Policy, error)
	Policy(ctx context.Context, tenant, name string, rev int) (Policy, error)
	Policies(ctx context.Context, tenant string) ([]Policy, error)
}

// NewSubmission is what Accept needs.
type NewSubmission struct {
	Sub Submission
	// Idempotency is the client's key, "" if none, and BodySHA256 what was sent under it.
	Idempotency string
	BodySHA256  string
	// Keep lists object keys that are no longer pending once accepted.
	Keep  []string
	Audit AuditEntry
	// MaxWaiting bounds the tenant's unfinished jobs; 0: no bound.
	MaxWaiting int
}

// Intake is how jobs begin.
type Intake interface {
	// Accept writes submission and job in one transaction with the idempotency key. The same key and body give the first job with
	// again = true. ErrKeyReuse, ErrKeyBusy, ErrFull, ErrErased.
	Accept(ctx context.Context, n NewSubmission) (j Job, again bool, err error)
	// AcceptMany accepts several, each for itself, in as few transactions and round trips as the database allows: group commit.
	AcceptMany(ctx context.Context, n []NewSubmission) []Acceptance
	// Reserve takes an idempotency key while a long upload runs, until the given time; Accept with the same key completes it.
	// It gives the earlier job when the key was completed with any body (the caller compares later through Accept). ErrKeyBusy.
	Reserve(ctx context.Context, tenant, key string, until time.Time) (earlier string, err error)
	// Prolong keeps a reserved key until another time; it does nothing to one that was completed or given back.
	Prolong(ctx context.Context, tenant, key string, until time.Time) error
	Unreserve(ctx context.Context, tenant, key string) error

	CreateUpload(ctx context.Context, u Upload, idempotency, bodySHA256 string) (Upload, bool, error) // as Accept; ErrExists for a bucket and key that are claimed
	Upload(ctx context.Context, tenant, job string) (Upload, error)
	UploadAt(ctx context.Context, bucket, key string) (Upload, error)
	// Arrive records the event and, when its claim is there and still waits, starts the job: one transaction. What became of the event
	// is in its State; the same bucket, key and version or sequencer give IntakeDuplicate with the first job. A claim that ended before
	// the object was written (HappenedAt, or else ReceivedAt) is none. An event that is recorded already is judged anew.
	Arrive(ctx context.Context, e IntakeEvent, src Source) (IntakeEvent, error)
	// RecordEvent keeps an event that starts nothing.
	RecordEvent(ctx context.Context, e IntakeEvent) error
	IntakeEvents(ctx context.Context, tenant string, state IntakeState, p Page) ([]IntakeEvent, error) // tenant "": those of nobody
	// Unclaimed gives events of a bucket and key that came before their claim.
	Unclaimed(ctx context.Context, bucket, key string) ([]IntakeEvent, error)
	PutBucketMap(ctx context.Context, m BucketMap, a AuditEntry) error // ErrExists when the bucket and prefix belong to another tenant; a gets the Place and Digest of m
	DeleteBucketMap(ctx context.Context, tenant, bucket, prefix string, a AuditEntry) error
	BucketMaps(ctx context.Context, tenant string) ([]BucketMap, error) // tenant "": all
}

// Acceptance is the answer to one of several submissions.
type Acceptance struct {
	Job   Job
	Again bool
	Err   error
}

// JobFilter narrows a list of jobs.
type JobFilter struct {
	Subject, Site string
	States        []JobState
	Held          *bool
	From, To      time.Time // of CreatedAt; zero: no bound
}

// Lease is what a claim gives.
type Lease struct {
	Job   Job
	Sub   Submission
	Token int64
}

// Release puts a job back that an attempt could not finish.
type Release struct {
	Job   string
	Token int64
	RunAt time.Time
	Error JobError
	Count bool   // counts as a failure
	Hold  bool   // waits for a person or an installation
	Media *Media // our own copy, when the attempt made one: the next attempt does not need the original
	Keep  []string
}

// Finish ends a job. Everything in it is written in one transaction that is refused (ErrStale) when the token is not the newest.
type Finish struct {
	Job      string
	Token    int64
	State    JobState // Done, Refused, Dead
	Error    *JobError
	Verdict  *Verdict // with Done
	Evidence []Evidence
	Print    *Print
	Frames   []FrameHash // with Print
	Media    *Media      // our own copy, when the attempt made one
	Keep     []string
	Audit    AuditEntry
	Event    string // webhook type; its deliveries are made for every endpoint that wants it
	Message  string // id of that message
	Payload  []byte
	Deadline []Deadline
}

// Counts is how many jobs are in which state, and how old the oldest unfinished one is.
type Counts struct {
	ByState map[JobState]int64
	Held    int64
	Oldest  time.Time // of accepted ones that may run; zero: none
}

// Work is the life of a job. All state changes are compare-and-set.
type Work interface {
	Job(ctx context.Context, tenant, id string) (Job, error) // tenant "": any (for workers)
	Jobs(ctx context.Context, tenant string, f JobFilter, p Page) ([]Job, error)
	Submission(ctx context.Context, job string) (Submission, error)
	Counts(ctx context.Context, tenant string) (Counts, error) // tenant "": all

	// Dispatch moves up to n accepted jobs whose time has come to queued, with a new attempt each: by priority, and within a
	// priority round-robin over tenants; none that is less urgent than last. Several dispatchers may call it at once; no job is given twice.
	Dispatch(ctx context.Context, n int, last Priority) ([]Job, error)
	// Claim takes a queued job of exactly this attempt: lease until now+lease, never past the deadline. ErrStale.
	Claim(ctx context.Context, job string, attempt int, worker string, lease, deadline time.Duration) (Lease, error)
	// Renew extends the leases of a worker's running jobs, none past its deadline, and gives those that are still its own.
	Renew(ctx context.Context, worker string, lease time.Duration) ([]string, error)
	Release(ctx context.Context, r Release) error // back to accepted; ErrStale
	Finish(ctx context.Context, f Finish) error   // ErrStale
	// FinishMany ends several jobs, each for itself, in as few transactions and round trips as the database allows.
	FinishMany(ctx context.Context, f []Finish) []error

	// Reclaim puts running jobs without a live lease back to accepted (Crashes+1) and gives them. A lease further away than
	// maxLease is no live one, and no crash: its clock was wrong. Jobs with maxCrashes become dead, with the event and audit of that.
	Reclaim(ctx context.Context, maxLease time.Duration, maxCrashes int) ([]Job, error)
	// Waiting lists queued jobs whose task was written before the given time, oldest first.
	Waiting(ctx context.Context, before time.Time, n int) ([]Job, error)
	// Unqueue puts queued jobs of exactly these attempts back to accepted: their task is lost.
	Unqueue(ctx context.Context, jobs []Job) (int, error)
	// Rescue gives up to n jobs of this priority whose worker died and that nobody took for so long, ready or queued, as queued with a new
	// attempt: the caller runs them itself, without a task.
	Rescue(ctx context.Context, p Priority, after time.Duration, n int) ([]Job, error)
	// Requeue makes a dead or held job accepted again, by hand.
	Requeue(ctx context.Context, tenant, job string, a AuditEntry) (Job, error)
	// Unhold makes all held jobs with this error rule accepted again (a model was installed).
	Unhold(ctx context.Context, rule string) (int, error)
}

// VerdictFilter narrows a list of verdicts.
type VerdictFilter struct {
	Subject, Site string
	Decision      pipeline.Decision
	Code          pipeline.Code
	Model         string    // the first digits of the sha256 of a model's file: made with it. Reads the bodies, so give it times, too
	Recipe        string    // its digest. Reads the bodies, too
	From, To      time.Time // of SubmittedAt; zero: no bound
	AllRevisions  bool      // else only the newest of each job
}

// Scope says which earlier footage a job is compared with.
type Scope struct {
	Tenant, Subject, Site string
	Kind                  string // subject, site (this or the subject's own), tenant
	Newest                int    // at most that many, newest first
	Since                 time.Time
}

// Findings holds verdicts, evidence and fingerprints.
type Findings interface {
	Verdict(ctx context.Context, tenant, job string, revision int) (Verdict, error)          // revision 0: the newest
	VerdictRevisions(ctx context.Context, tenant, job string) ([]Verdict, error)             // oldest first
	Verdicts(ctx context.Context, tenant string, f VerdictFilter, p Page) ([]Verdict, error) // newest job first; After is "job.revision"
	// Changes gives verdicts of every revision after a position of the feed, in commit order; a reader that goes on from the last
	// position never misses one.
	Changes(ctx context.Context, tenant string, after int64, limit int) ([]Verdict, error)
	// Sequence gives the next positions of their tenant's feed to up to n committed verdicts that have none, and to their prints, and
	// returns the newest position of each tenant it touched. A print that finished jobs, accepted later, did not see becomes due for
	// Recheck in the same transaction. Only the elected sequencer calls it.
	Sequence(ctx context.Context, n int) (positions map[string]int64, err error)
	// Position is the newest position of the tenant's feed.
	Position(ctx context.Context, tenant string) (int64, error)
	// Revise writes a further revision of a finished job's verdict with its event. ErrConflict when the revision is taken.
	Revise(ctx context.Context, v Verdict, a AuditEntry, event, message string, payload []byte) error
	Evidence(ctx context.Context, tenant, job string) ([]Evidence, error)
	// Reverified keeps a verdict that was made again; a has its ID, and gets the Sum of its body. ErrErased, ErrNotFound without the verdict.
	Reverified(ctx context.Context, r Reverification, a AuditEntry) error
	// Reverifications lists those of a job, or of all, newest first; After is an id.
	Reverifications(ctx context.Context, tenant, job string, p Page) ([]Reverification, error)

	// Prints gives the fingerprints in scope of jobs accepted before the given job (ULID order), at positions <= asOf.
	Prints(ctx context.Context, s Scope, before string, asOf int64) ([]Print, error)
	Print(ctx context.Context, tenant, job string) (Print, error)
	// SameBytes gives the first earlier job of the tenant with the same file or the same coded packets, whatever the scope, but none of
	// except; ErrNotFound.
	SameBytes(ctx context.Context, tenant, before string, asOf int64, sha256, packets string, except []string) (Print, error)
	// Recheck takes up to n prints that came late, each with the finished jobs, accepted after it, that did not see it; or with Look, once for
	// each job that ran at the same time as others where the later-accepted one has more searched by its frames than its scope. They stay
	// taken until lease is over or Rechecked is called.
	Recheck(ctx context.Context, worker string, lease time.Duration, n int) ([]Late, error)
	Rechecked(ctx context.Context, l Late) error
}

// Late is a print that was not there when jobs accepted after it were compared.
type Late struct {
	Print Print    // the one that came late
	Jobs  []string // finished jobs, accepted after it, that did not see it: same subject, same site, or same bytes; or itself: it was marked
	// Look says that the print's frames are to be looked for among those at positions before its own: of what was accepted before it and came
	// after it began, and of what was accepted after it. A pair is looked for once, by whichever of the two came later.
	Look bool
}

// Marks holds what investigators said about the reuse check.
type Marks interface {
	// CreateMark writes a mark at the next position of the tenant's sequence of marks, and gives it with that. ErrNotFound for jobs that are
	// not the tenant's, ErrErased for those of an erased subject, ErrExists when the same is marked already and in force, ErrFull for more
	// than MaxBackgrounds of one site. If m.Job has a print it is due for Recheck with itself, after MarkPatience: until then whoever marks may
	// compare it, and say so with Rechecked. A job that is marked before it is done is due when it has its position.
	CreateMark(ctx context.Context, m Mark, a ...AuditEntry) (Mark, error)
	// RevokeMark ends a mark at the next position; ErrNotFound, ErrStale for one that was revoked before. The row stays, so that verdicts of
	// its time can be understood. The job is due as with CreateMark.
	RevokeMark(ctx context.Context, tenant, id, by string, at time.Time, a ...AuditEntry) (Mark, error)
	Mark(ctx context.Context, tenant, id string) (Mark, error)                          // also a revoked one
	Marks(ctx context.Context, tenant string, f MarkFilter, p Page) ([]Mark, error)     // newest first; After is an id
	MarksPosition(ctx context.Context, tenant string) (int64, error)                    // of the newest change; 0: none yet
	MarksFor(ctx context.Context, tenant, job, site string, asOf int64) ([]Mark, error) // in force at a position: the job's pairs, either way round, and the backgrounds of the site, oldest first
}

// Frames holds the hashes of finished jobs' frames, from which the workers' indexes are made. They are written with a job's print, and go
// with it.
type Frames interface {
	// Frames gives those of a tenant's jobs, at most n, by job id.
	Frames(ctx context.Context, tenant string, f FrameFilter, n int) ([]JobFrames, error)
	// NewFrames gives those at positions after the given one, at most n, in their order.
	NewFrames(ctx context.Context, tenant string, after int64, n int) ([]JobFrames, error)
	// Positions gives the newest position of every tenant's feed.
	Positions(ctx context.Context) (map[string]int64, error)
	// FramesGone gives whose hashes were deleted in the last days, at most n, in the order of time and job after the given ones. A deletion
	// may show some seconds after its time: a reader looks back.
	FramesGone(ctx context.Context, after FramesGone, n int) ([]FramesGone, error)
}

// Outbox holds webhook endpoints and deliveries.
type Outbox interface {
	PutEndpoint(ctx context.Context, e Endpoint, ifRev int, a AuditEntry) (Endpoint, error) // ErrConflict
	Endpoint(ctx context.Context, tenant, id string) (Endpoint, error)
	Endpoints(ctx context.Context, tenant string) ([]Endpoint, error)
	DeleteEndpoint(ctx context.Context, tenant, id string, a AuditEntry) error
	DisableEndpoint(ctx context.Context, tenant, id, why string, at time.Time) error // its pending deliveries fail
	// Due takes up to n pending deliveries whose time has come, for the length of lease; Settle ends or reschedules one. It gives none of
	// the endpoints in skip: they have as many under way as they may, and must not hold up others. Neither counts attempts: the sender does.
	Due(ctx context.Context, worker string, lease time.Duration, n int, skip []string) ([]Delivery, error)
	Settle(ctx context.Context, d Delivery, try DeliveryTry) error
	Deliveries(ctx context.Context, tenant, endpoint string, p Page) ([]Delivery, error)
	// Deliver writes one message to one endpoint by itself: a test. ErrNotFound when there is no such endpoint.
	Deliver(ctx context.Context, d Delivery) error
	DeliveryTries(ctx context.Context, tenant, delivery string) ([]DeliveryTry, error)
	Replay(ctx context.Context, tenant, delivery string) error // pending again, from the start of the schedule
	Lag(ctx context.Context) (oldest time.Time, pending int64, err error)
}

// Housekeeping is what keeps the store clean.
type Housekeeping interface {
	// Pend notes object keys before they are written, so that what a crash leaves behind is found.
	Pend(ctx context.Context, keys []string) error
	// Forget takes them off again, after the object was deleted.
	Forget(ctx context.Context, keys []string) error
	// Orphans gives up to n keys that have been pending since before the given time.
	Orphans(ctx context.Context, before time.Time, n int) ([]string, error) // those that a row once named are there at once
	// Referenced says which of these keys a row names.
	Referenced(ctx context.Context, keys []string) (map[string]bool, error)
	// Expire takes up to n deadlines that are over: it removes the rows they are about, notes their objects as pending, and gives their keys.
	// Those of unfinished jobs are put off by a day.
	Expire(ctx context.Context, now time.Time, n int) ([]string, error)
	// Elect makes holder the one who plays a role (dispatcher, sequencer) for ttl, or says that another does. A ttl of 0 gives it up.
	Elect(ctx context.Context, role, holder string, ttl time.Duration) (bool, error)
	Append(ctx context.Context, a AuditEntry) error
	AuditLog(ctx context.Context, tenant string, p Page) ([]AuditEntry, error) // oldest first
	// Remember and Recall keep small values of workers (how far an intake list was read), by name.
	Remember(ctx context.Context, name string, value json.RawMessage) error
	Recall(ctx context.Context, name string) (json.RawMessage, error)
}

// Bell wakes sleepers sooner than their poll would: best effort, nothing depends on it. Topics hold no secrets.
type Bell interface {
	Ring(ctx context.Context, topic string)
	// Listen gives a channel that gets a value after rings of the topic, until ctx ends; rings that come while one waits are merged.
	Listen(ctx context.Context, topic string) <-chan struct{}
}

// The topics of a Bell.
const (
	BellWork    = "work"    // a job was accepted
	BellOutbox  = "outbox"  // a delivery was written
	BellVerdict = "verdict" // a verdict was committed and wants its position
	BellFeed    = "feed"    // verdicts got their positions
	BellModels  = "models"  // an epoch or a promotion was written
)

// BellJob is the topic of one job's end.
func BellJob(job string) string { return "job." + job }
