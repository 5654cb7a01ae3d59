package results

import (
	"encoding/json"
	"time"

	"onsite/pipeline"
)

// Tenant is one company. Nothing crosses tenants.
type Tenant struct {
	ID        string
	Name      string
	Settings  Settings
	Rev       int // of the settings, from 1
	CreatedAt time.Time
}

// Settings are what a tenant's administrator may choose. The zero value of a number means the default beside it.
type Settings struct {
	LookAlike     bool `json:"look_alike"`     // at enrolment, look for the same face under another name and warn a person; off by default
	MaxWaiting    int  `json:"max_waiting"`    // jobs accepted and not finished before submissions are answered 429; 20,000
	MediaDays     int  `json:"media_days"`     // how long media is kept; 90
	KeyframeDays  int  `json:"keyframe_days"`  // how long keyframes are kept; 180
	PrintDays     int  `json:"print_days"`     // how long fingerprints are kept and compared with; 180
	VerdictDays   int  `json:"verdict_days"`   // how long verdicts are kept; 1,095
	PrivateTarget bool `json:"private_target"` // webhooks may go to private addresses
	// Appeal is what an employee is told about how to appeal; empty: the built-in sentence.
	Appeal pipeline.Text `json:"appeal"`
}

// Filled gives the settings with the defaults in place of zeroes.
func (s Settings) Filled() Settings {
	for _, n := range []struct {
		value *int
		usual int
	}{{&s.MaxWaiting, 20_000}, {&s.MediaDays, 90}, {&s.KeyframeDays, 180}, {&s.PrintDays, 180}, {&s.VerdictDays, 1_095}} {
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	return s
}

// Role is what an API key may do. Admin may do everything within its tenant.
type Role string

// The roles.
const (
	RoleSubmit      Role = "submit"      // submissions, uploads, the state of jobs
	RoleRead        Role = "read"        // verdicts, jobs
	RoleNotice      Role = "notice"      // what an employee may be shown
	RoleInvestigate Role = "investigate" // verdicts with evidence, media, keyframes
	RoleAudit       Role = "audit"       // everything that reads, and the audit log
	RoleModels      Role = "models"      // model operations
	RoleAdmin       Role = "admin"       // configuration, subjects, keys, webhooks
)

// Roles lists them all.
var Roles = []Role{RoleSubmit, RoleRead, RoleNotice, RoleInvestigate, RoleAudit, RoleModels, RoleAdmin}

// APIKey is a key of the API as stored: of its secret only the SHA-256.
type APIKey struct {
	ID        string // the <id> of ons_<id>_<secret>
	Tenant    string
	Name      string // for people
	Roles     []Role
	SHA256    []byte // of the whole key text, 32 bytes
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
}

// Subject is an employee. An erased subject keeps its row, so that its id is not taken for a new person, and nothing biometric.
type Subject struct {
	Tenant    string
	ID        string
	Label     string // what people call the record; need not be a name
	Rev       int    // enrolment revision: rises with every change of the photos; 0 before the first photo
	CreatedAt time.Time
	ErasedAt  time.Time // zero: not erased
}

// Photo is one enrolled photo of a subject. It belongs to the enrolment revisions FromRev <= rev < ToRev.
type Photo struct {
	ID        string // ULID, also the last part of the object key
	Tenant    string
	Subject   string
	Name      string // file name for people
	Key       string // of the sealed object; empty once it was removed
	SHA256    string // of the plain bytes, hex
	Bytes     int64
	Quality   json.RawMessage // what the enrolment measured: no vector
	FromRev   int
	ToRev     int // 0: still enrolled
	CreatedAt time.Time
}

// Template is the vector of one enrolled photo under one model, sealed with the subject's key. Comparing across models is refused.
type Template struct {
	Photo       string
	Tenant      string
	Subject     string
	ModelSHA256 string // of the embedding model's file; see TemplateSuffix
	Sealed      []byte
}

// TemplateSuffix stands between the embedding model's file and the digest of the models that found and aligned the face, in the names of
// templates that were made with others than the program's own for that.
const TemplateSuffix = "+"

// Consent is one recorded consent to face processing, and its withdrawal.
type Consent struct {
	ID          string
	Tenant      string
	Subject     string
	Purpose     string // "face"
	Notice      string // version of the text that the person agreed to
	Reference   string // where the signed record is, in the tenant's own files
	RecordedBy  string // API key id
	GivenAt     time.Time
	WithdrawnAt time.Time // zero: in force
}

// SubjectKey is a subject's wrapped key. A destroyed one has no bytes and stays destroyed.
type SubjectKey struct {
	Tenant      string
	Subject     string // or "_site.<id>" for a site's references
	Wrapped     []byte // keyset encrypted with the KEK
	KEK         string // names the KEK that wrapped it
	CreatedAt   time.Time
	DestroyedAt time.Time
}

// Site is one revision of a place of work. Older revisions stay, so that a verdict can be made again.
type Site struct {
	Tenant    string
	ID        string
	Rev       int
	Doc       SiteDoc
	CreatedAt time.Time
	Deleted   bool
}

// SiteDoc is what an administrator says about a site.
type SiteDoc struct {
	Label        string           `json:"label,omitempty"`
	Timezone     string           `json:"timezone,omitempty"` // of the references' days, as Asia/Shanghai; UTC if empty
	SignNames    []string         `json:"sign_names,omitempty"`
	ForeignNames []string         `json:"foreign_names,omitempty"`
	Geofence     []pipeline.Fence `json:"geofence,omitempty"`
	Beacons      []string         `json:"beacons,omitempty"`
	WiFi         []string         `json:"wifi,omitempty"`
	References   []SiteReference  `json:"references,omitempty"`

	// Rooms are this site's rooms, Around those of the other sites when this revision was written: what strangers look like here. They are
	// part of the revision, so that a verdict can be made again.
	Rooms  *pipeline.RoomVectors `json:"rooms,omitempty"`
	Around *pipeline.RoomVectors `json:"around,omitempty"`
}

// SiteReference is one enrolled picture of a site.
type SiteReference struct {
	Kind      pipeline.ReferenceKind `json:"kind"`
	Name      string                 `json:"name"`
	Key       string                 `json:"key"`    // of the sealed object
	SHA256    string                 `json:"sha256"` // of the plain bytes
	Crop      *pipeline.Box          `json:"crop,omitempty"`
	ValidFrom string                 `json:"valid_from,omitempty"` // 2006-01-02 in the site's time zone, or RFC 3339
	ValidTo   string                 `json:"valid_to,omitempty"`   // inclusive
	Negative  bool                   `json:"negative,omitempty"`
	Sites     []string               `json:"sites,omitempty"` // posters: where it hangs; none: here
}

// Policy is one revision of a tenant's policy.
type Policy struct {
	Tenant    string
	Name      string
	Rev       int
	Digest    string // sha256:...
	YAML      []byte
	CreatedAt time.Time
	Deleted   bool
}

// Priority orders jobs: lower goes first.
type Priority int

// The priorities.
const (
	PriorityClockIn  Priority = 0
	PriorityReverify Priority = 1
	PriorityBulk     Priority = 2
)

// Source says where the media of a submission came from.
type Source struct {
	Kind    string `json:"kind"` // api, upload (own presigned upload), bucket (foreign bucket)
	Bucket  string `json:"bucket,omitempty"`
	Key     string `json:"key,omitempty"`
	Version string `json:"version,omitempty"` // object version where the bucket has them
	ETag    string `json:"etag,omitempty"`
}

// Media says where the bytes of a submission are. Key is empty until a worker has made our own copy of an object from a bucket.
type Media struct {
	Key    string // of the sealed object, tenant/subject/ulid
	SHA256 string // of the plain bytes, hex
	Bytes  int64
	Name   string // file name for people
}

// Submission is one upload as accepted. It does not change, but for Media when a worker copies a bucket's object.
type Submission struct {
	Job         string // ULID; the id of submission and job
	Tenant      string
	Subject     string
	Site        string // "" if none
	Policy      string // policy name; "": the default of the media's kind
	PolicyRev   int    // revision of the tenant's policy at acceptance; 0: built in
	Claim       json.RawMessage
	Priority    Priority
	Source      Source
	Media       Media
	TraceParent string // W3C trace context of the request
	ReceivedAt  time.Time
}

// JobState is where a job is. docs/architecture.md draws the machine.
type JobState string

// The states. Done, Refused and Dead are final; a dead job may be requeued by a person.
const (
	Accepted JobState = "accepted" // in the store, waiting for its time and its turn
	Queued   JobState = "queued"   // a task of this attempt is in Redis, or was
	Running  JobState = "running"  // a worker holds the lease
	Done     JobState = "done"     // has a verdict
	Refused  JobState = "refused"  // the media cannot be taken; will not change
	Dead     JobState = "dead"     // given up after retries; a person may requeue it
)

// JobError is the last thing that went wrong with a job, in words for its owner.
type JobError = Why

// RuleCrashed says that a job's worker died, or that the core broke off.
const RuleCrashed = "crashed"

// Crashed says that the job's last attempt ended so.
func (j Job) Crashed() bool { return j.Error != nil && j.Error.Rule == RuleCrashed }

// Job is the durable work record of one submission: the truth about it, whatever Redis says.
type Job struct {
	ID         string
	Tenant     string
	Subject    string
	Site       string
	Priority   Priority
	State      JobState
	Attempt    int       // rises with every task; the task id is <id>.<attempt>
	Token      int64     // fencing token, rises with every claim
	Failures   int       // attempts that ended with an error of their own
	Crashes    int       // attempts whose lease ran out
	Held       bool      // waiting for a person or an installation (model missing)
	RunAt      time.Time // not before
	QueuedAt   time.Time
	LeaseUntil time.Time
	Deadline   time.Time // of the running attempt; the lease is never renewed past it
	Worker     string
	Error      *JobError
	Revision   int // of the newest verdict; 0: none
	// TraceParent is the submission's, so that a task continues its trace; Dispatch gives it, other reads may leave it empty.
	TraceParent string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	FinishedAt  time.Time
}

// Final says that the job will not change by itself.
func (j Job) Final() bool { return j.State == Done || j.State == Refused || j.State == Dead }

// Verdict is one stored revision of a verdict.
type Verdict struct {
	Job         string
	Tenant      string
	Subject     string
	Site        string
	Revision    int
	Seq         int64 // position in the tenant's feed, in commit order; 0 until the sequencer has given it
	Decision    pipeline.Decision
	Codes       []pipeline.Code
	Policy      string // name
	Body        []byte // pipeline.Verdict as JSON
	SubmittedAt time.Time
	CreatedAt   time.Time
}

// Reverification is a verdict that was made again from the inputs of its first revision: kept beside the verdict's revisions, never one of
// them. It supersedes nothing, and nobody is told of it. Its audit entry has the same ID, and the Sum of its Body.
type Reverification struct {
	ID        string // ULID
	Tenant    string
	Job       string
	Subject   string
	Body      []byte // JSON: how the two agree, and the verdict as it was made now
	CreatedAt time.Time
}

// Evidence is one stored picture of a verdict.
type Evidence struct {
	Job      string
	Revision int
	Tenant   string
	Subject  string
	Kind     string // keyframe
	Index    int
	Key      string // of the sealed object
	SHA256   string // of the plain bytes
	Bytes    int64
}

// Print is a stored fingerprint. Its bytes are a sealed object.
type Print struct {
	Job        string
	Tenant     string
	Subject    string
	Site       string
	Seq        int64  // that of the job's first verdict
	AsOf       int64  // the history position that its job saw
	Scope      string // what its job's policy compares it with: subject, site or tenant; "" is site
	Alike      string // whose footage is searched by its frames besides, where that is more than the scope: site or tenant; "": nobody's
	Format     int    // version of the fingerprint's form and meaning
	SHA256     string
	Packets    string // sha256 of the coded packets, hex; "" for photos
	Key        string
	Bytes      int64
	AcceptedAt time.Time
}

// AuditEntry is one unsequenced entry of the audit log. It holds no biometrics.
type AuditEntry struct {
	ID      string // ULID
	Tenant  string
	At      time.Time
	Actor   string // API key id, worker name, "system"
	Action  string // verdict.created, consent.given, subject.erased, ...
	Subject string
	Target  string // job, photo, site, ... id
	Digest  string // sha256 of what it is about, where there is such a thing
}

// Endpoint is a tenant's webhook receiver.
type Endpoint struct {
	ID         string
	Tenant     string
	URL        string
	Events     []string // empty: all
	Keys       []byte   // sealed: the signing keys, old ones too while a rotation lasts
	DisabledAt time.Time
	Why        string // of being disabled: gone, admin
	Rev        int
	CreatedAt  time.Time
}

// DeliveryState is where a webhook delivery is.
type DeliveryState string

// The states of a delivery.
const (
	Pending   DeliveryState = "pending"
	Delivered DeliveryState = "delivered"
	Failed    DeliveryState = "failed" // given up after the whole schedule, or the endpoint is gone
)

// Delivery is one message to one endpoint: the webhook outbox.
type Delivery struct {
	ID         string // <message>.<endpoint>: a message goes to an endpoint once
	Tenant     string
	Endpoint   string
	Message    string // id of the message, the same for every endpoint and retry
	Type       string // verdict.created, verdict.revised, job.refused, job.dead
	Payload    []byte // JSON
	Job        string
	State      DeliveryState
	Attempt    int
	NextAt     time.Time
	LastStatus int
	LastError  *Why // nil: none
	CreatedAt  time.Time
	DoneAt     time.Time
}

// DeliveryTry is one line of the delivery log.
type DeliveryTry struct {
	Delivery string
	Attempt  int
	At       time.Time
	Status   int  // HTTP status; 0: none came
	Error    *Why // nil: none
	TookMS   int64
}

// Upload is a recorded claim that waits for its object.
type Upload struct {
	Job       string // the job that the object's arrival will start
	Tenant    string
	Bucket    string
	Key       string
	MaxBytes  int64
	Sub       Submission // without media
	CreatedAt time.Time
	ExpiresAt time.Time
	ArrivedAt time.Time // zero: waiting
}

// BucketMap says whose uploads lie under a prefix of a foreign bucket.
type BucketMap struct {
	Bucket    string
	Prefix    string
	Tenant    string
	CreatedAt time.Time
}

// IntakeState is what became of a bucket event.
type IntakeState string

// The states of a bucket event.
const (
	IntakeStarted   IntakeState = "started"   // its job was made
	IntakeDuplicate IntakeState = "duplicate" // its job was there already
	IntakeUnclaimed IntakeState = "unclaimed" // no claim is recorded for the key (yet)
	IntakeForeign   IntakeState = "foreign"   // no tenant is mapped to the bucket and prefix
	IntakeUnread    IntakeState = "unread"    // could not be understood
	IntakeIgnored   IntakeState = "ignored"   // not an object's creation
)

// IntakeEvent is one bucket event as received; none is dropped.
type IntakeEvent struct {
	ID         string // ULID
	Tenant     string // "" when unknown
	Source     string // webhook, redis
	Raw        []byte
	Bucket     string
	Key        string
	Version    string
	Sequencer  string
	ETag       string
	Bytes      int64
	State      IntakeState
	Job        string
	Why        *Why      // nil: there is nothing to say
	HappenedAt time.Time // when the bucket says that the object was written; zero: it does not say
	ReceivedAt time.Time
}

// Deadline is when something must be gone.
type Deadline struct {
	Tenant  string
	Subject string
	Kind    string // media, keyframes, print, verdict
	Job     string
	Due     time.Time
}
