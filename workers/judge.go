package workers

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/verify"
	"onsite/results"
	"onsite/results/object"
	"onsite/results/vault"
)

// Action is what becomes of a job whose attempt ended.
type Action string

// The actions.
const (
	Done   Action = "done"   // it ended with a verdict: no error
	Refuse Action = "refuse" // the media cannot be taken, and trying again changes nothing
	Retry  Action = "retry"  // again, later
	Hold   Action = "hold"   // waits for an installation or a person
	GiveUp Action = "dead"   // a person must look
	Return Action = "return" // again at once, on another worker: nothing was wrong with it
	Drop   Action = "drop"   // somebody else has the job: end silently
)

// The rules that this package names. Those of refused media come from the core, others from errors with a Judgement of their own.
const (
	RuleModels    = "models_missing"
	RuleLoading   = "models_loading"
	RuleDecoder   = "decoder_broken"
	RuleStore     = "store_away"
	RuleObjects   = "objects_away"
	RuleSpace     = "no_space"
	RuleDenied    = "objects_denied"
	RuleForged    = "forged"
	RuleErased    = "subject_erased"
	RuleGone      = "media_gone"
	RuleReference = "reference"
	RuleTimeout   = "timeout"
	RuleCrashed   = results.RuleCrashed
	RuleDrained   = "drained"
	RuleFailed    = "failed"
)

// Judgement is the answer to an error: what becomes of the job, with the words for its owner.
type Judgement struct {
	Action Action
	Rule   string
	Text   pipeline.Text
	// Count makes a retry one of the job's failures, of which there may be only as many as the schedule has steps; without it a retry is
	// repeated for as long as it takes.
	Count bool
	// Tries, when not 0, is how many failures are enough, and Finally what follows them instead of GiveUp.
	Tries   int
	Finally Action
	// Shared says that all jobs need what is away: no others are tried against it meanwhile.
	Shared bool
	// Alarm says that a person should be woken: it is the installation that is ill, not the job.
	Alarm bool
	// Private says that the error's text may name a person's file and stays out of the log.
	Private bool
}

// Judged is an error that knows its judgement, for rooms whose errors this one cannot import.
type Judged interface{ Judgement() Judgement }

// The ends of an attempt that are not its own fault.
var (
	errDrained = errors.New("the worker is stopping")
	errLost    = errors.New("the lease was lost")
	errTimeout = errors.New("the attempt took too long")
)

// crash is a panic of the core.
type crash struct{ value any }

func (c *crash) Error() string { return "the verification core crashed" }

// Judge decides what an error means for its job. It looks at what an error is, never at its text.
func Judge(err error) Judgement {
	var judged Judged
	var reference *verify.ReferenceError
	var refusal *media.Refusal
	var policy *verify.PolicyError
	var crashed *crash
	var early *models.NotReadyError
	switch {
	case errors.Is(err, results.ErrStale), errors.Is(err, errLost):
		return Judgement{Action: Drop}
	case errors.Is(err, errDrained):
		return Judgement{Action: Return, Rule: RuleDrained, Text: texts[RuleDrained]}
	case errors.As(err, &judged):
		return judged.Judgement()
	case errors.Is(err, results.ErrErased):
		return Judgement{Action: Refuse, Rule: RuleErased, Text: texts[RuleErased]}
	case errors.As(err, &early): // before what is unusable: nobody has to do anything
		return Judgement{Action: Retry, Rule: RuleLoading, Text: texts[RuleLoading], Shared: true}
	case models.Unusable(err):
		return Judgement{Action: Hold, Rule: RuleModels, Text: texts[RuleModels], Alarm: true}
	case errors.Is(err, media.ErrDecoder):
		return Judgement{Action: Retry, Rule: RuleDecoder, Text: texts[RuleDecoder], Shared: true, Alarm: true}
	case errors.Is(err, results.ErrAway):
		return Judgement{Action: Retry, Rule: RuleStore, Text: texts[RuleStore], Shared: true}
	// A bucket of others is one tenant's, and its rights may be for ever: those jobs wait like any that failed, and only they.
	case errors.Is(err, object.ErrForeign) && errors.Is(err, object.ErrAway):
		return Judgement{Action: Retry, Rule: RuleObjects, Text: texts[RuleObjects]}
	case errors.Is(err, object.ErrForeign) && (errors.Is(err, object.ErrDenied) || errors.Is(err, object.ErrNoBucket)):
		return Judgement{Action: Retry, Rule: RuleDenied, Text: texts[RuleDenied], Count: true, Alarm: true}
	case errors.Is(err, object.ErrAway):
		return Judgement{Action: Retry, Rule: RuleObjects, Text: texts[RuleObjects], Shared: true}
	case errors.Is(err, object.ErrNoSpace):
		return Judgement{Action: Retry, Rule: RuleSpace, Text: texts[RuleSpace], Shared: true, Alarm: true}
	case errors.Is(err, object.ErrDenied), errors.Is(err, object.ErrNoBucket):
		return Judgement{Action: Retry, Rule: RuleDenied, Text: texts[RuleDenied], Shared: true, Alarm: true}
	case errors.Is(err, vault.ErrForged):
		return Judgement{Action: GiveUp, Rule: RuleForged, Text: texts[RuleForged], Alarm: true}
	// Before refusals: a reference photo that is refused says nothing about the submitted media.
	case errors.As(err, &reference):
		return Judgement{Action: Retry, Rule: RuleReference, Text: texts[RuleReference], Count: true, Private: true}
	case errors.As(err, &refusal):
		j := Judgement{Action: Refuse, Rule: refusal.Rule, Text: refusal.Text, Private: true}
		if refusal.Rule == decoderCrashed {
			// The kernel kills children, too, when memory is short. Media that does it again and again is refused.
			j.Action, j.Count, j.Tries, j.Finally = Retry, true, 2, Refuse
		}
		return j
	case errors.As(err, &policy):
		return Judgement{Action: Refuse, Rule: policy.Rule, Text: policy.Text}
	case errors.Is(err, object.ErrNotFound):
		return Judgement{Action: GiveUp, Rule: RuleGone, Text: texts[RuleGone]}
	case errors.As(err, &crashed):
		return Judgement{Action: Retry, Rule: RuleCrashed, Text: texts[RuleCrashed], Count: true}
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		return Judgement{Action: Retry, Rule: RuleTimeout, Text: texts[RuleTimeout], Count: true}
	}
	return Judgement{Action: Retry, Rule: RuleFailed, Text: texts[RuleFailed], Count: true}
}

// decoderCrashed is the refusal that is not always the media's fault.
const decoderCrashed = "decoder_crashed"

// texts are what the owner of a job reads. What exactly happened is in the log, under the job's id.
var texts = map[string]pipeline.Text{
	RuleModels: {
		EN: "a model that the verification needs is not installed; the job waits and goes on by itself once it is",
		ZH: "验证所需的模型未安装；安装后任务会自动继续",
	},
	RuleLoading: {EN: "the models are being loaded; the job is tried again in some seconds", ZH: "正在加载模型；任务将在几秒后重试"},
	RuleDecoder: {EN: "the decoder does not work on the server; the job is tried again", ZH: "服务器上的解码器无法工作；任务将重试"},
	RuleStore:   {EN: "the results store could not be reached; the job is tried again", ZH: "无法连接结果库；任务将重试"},
	RuleObjects: {EN: "the object store could not be reached; the job is tried again", ZH: "无法连接对象存储；任务将重试"},
	RuleSpace:   {EN: "the object store has no space left; the job is tried again", ZH: "对象存储空间不足；任务将重试"},
	RuleDenied: {
		EN: "the object store refuses the service's credentials or its bucket is missing; the job is tried again",
		ZH: "对象存储拒绝了服务的凭据，或存储桶不存在；任务将重试",
	},
	RuleForged: {
		EN: "stored data that the verification needs was changed or damaged; the operator has to look into it",
		ZH: "验证所需的存储数据被更改或已损坏；需要运维人员检查",
	},
	RuleErased:    {EN: "the subject was erased; nothing about it is processed any more", ZH: "该人员已被删除；不再处理其任何数据"},
	RuleGone:      {EN: "the uploaded file is no longer there; submit it again", ZH: "上传的文件已不存在；请重新提交"},
	RuleReference: {EN: "an enrolled photo or a reference photo of the site cannot be used; replace it, then requeue the job", ZH: "某张登记照片或场所参考照片无法使用；请更换后重新排队该任务"},
	RuleTimeout:   {EN: "the verification took longer than it may", ZH: "验证超时"},
	RuleCrashed:   {EN: "the verification broke off", ZH: "验证意外中断"},
	RuleDrained:   {EN: "the worker was stopped; the job goes on elsewhere", ZH: "工作进程已停止；任务将在其他进程继续"},
	RuleFailed:    {EN: "the verification failed; the operator finds the cause in the log under this job's id", ZH: "验证失败；运维人员可按任务编号在日志中查找原因"},
}

// DefaultBackoff is how long a job waits after each failure of its own; after the last step it is given up.
var DefaultBackoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// maxAway is the longest wait of one job while something outside is away. It is short: the breaker keeps the others from trying meanwhile.
const maxAway = 10 * time.Second

// settle turns a judgement into what happens to this job now, and says how long a retry waits.
func settle(v Judgement, j results.Job, schedule []time.Duration) (Action, time.Duration) {
	if v.Action != Retry {
		return v.Action, 0
	}
	if !v.Count {
		// Nobody counts these. An attempt that was neither a failure nor a crash was one, or a drain, which is rare.
		n := max(0, j.Attempt-j.Failures-j.Crashes-1)
		return Retry, jitter(min(time.Second<<min(n, 10), maxAway))
	}
	limit := len(schedule)
	if v.Tries > 0 {
		limit = min(limit, v.Tries)
	}
	if j.Failures >= limit {
		if v.Finally != "" {
			return v.Finally, 0
		}
		return GiveUp, 0
	}
	return Retry, jitter(schedule[j.Failures])
}

// jitter spreads what failed together, by a fifth either way.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // not a secret
}
