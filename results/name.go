package results

// The types of webhook messages.
const (
	EventVerdictCreated = "verdict.created"
	EventVerdictRevised = "verdict.revised"
	EventJobRefused     = "job.refused"
	EventJobDead        = "job.dead"
	EventTest           = "webhook.test" // sent by hand to one endpoint, whatever it listens to
)

// ActionUnmarked is the audit entry of a mark that went with one of its jobs, or with an erased subject. Its digest is the Sum of the id of that
// job, or of the entry of the erasure.
const ActionUnmarked = "mark.removed"

// ActionReverified is the audit entry of a verdict that was made again.
const ActionReverified = "verdict.reverified"

// Events lists those that an endpoint can choose.
var Events = []string{EventVerdictCreated, EventVerdictRevised, EventJobRefused, EventJobDead}

// TenantSubject is the pseudo-subject under whose key a tenant's own secrets are sealed.
const TenantSubject = "_tenant"

// SiteSubject is the pseudo-subject under whose key a site's reference photos are sealed.
func SiteSubject(site string) string { return "_site." + site }

// PurposeFace is the purpose of a consent to face processing.
const PurposeFace = "face"

// PurposeSound is the purpose of a consent to listening: to whether and what somebody says, and to comparing the sound of recordings.
const PurposeSound = "sound"

// The kinds of deadlines.
const (
	DeadlineMedia     = "media"
	DeadlineKeyframes = "keyframes"
	DeadlinePrint     = "print"
	DeadlineVerdict   = "verdict" // and with it everything else about the job
)
