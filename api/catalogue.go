package api

import (
	"net/http"

	"onsite/pipeline"
)

// code is the stable name of a kind of problem.
type code string

// The codes. Clients go by them: they are added to, never changed.
const (
	codeInternal     code = "internal"
	codeNoKey        code = "key_missing"
	codeBadKey       code = "key_invalid"
	codeRole         code = "role_missing"
	codeNotFound     code = "not_found"
	codeNoRoute      code = "no_such_route"
	codeMethod       code = "method_not_allowed"
	codeInvalid      code = "invalid"
	codeUnreadable   code = "unreadable"
	codeNoBody       code = "body_missing"
	codeTooLarge     code = "too_large"
	codeContentType  code = "content_type"
	codeSlow         code = "too_slow"
	codeGone         code = "client_gone"
	codeExists       code = "exists"
	codeChanged      code = "changed_meanwhile"
	codeIfMatch      code = "if_match_missing"
	codeErased       code = "subject_erased"
	codeKeyReuse     code = "idempotency_key_reused"
	codeKeyBusy      code = "idempotency_key_busy"
	codeFull         code = "queue_full"
	codeAway         code = "store_away"
	codeNoSpace      code = "no_space"
	codeCursor       code = "cursor_invalid"
	codeNotAllowed   code = "not_allowed"
	codeBusyStreams  code = "too_many_streams"
	codeBusyTenant   code = "too_many_at_once"
	codeBadSignature code = "signature_invalid"
	codeExpired      code = "expired"
	codeUsed         code = "used"
	codeState        code = "wrong_state"
	codeOff          code = "not_configured"
	codeNoConsent    code = "no_consent"
	codePhotos       code = "photos_refused"
	codeSite         code = "site_refused"
	codePolicy       code = "policy_refused"
	codeBuiltin      code = "built_in"
	codeModels       code = "models_missing"
	codeLoading      code = "models_loading"
	codeForeign      code = "bucket_not_yours"
	codePending      code = "verdict_pending"
	codeNoVerdict    code = "verdict_none"
	codeReference    code = "enrolled_photos_unusable"
	codeUnknown      code = "outcome_unknown"
	codeUnsigned     code = "not_signed_yet"
	codeChallenges   code = "too_many_challenges"
)

type entry struct {
	status        int
	title, detail pipeline.Text
}

// catalogue holds the words of every problem; the detail is used where the place that makes the problem has nothing to add.
var catalogue = map[code]entry{
	codeInternal: {http.StatusInternalServerError, say("Internal error", "内部错误"),
		say("Something went wrong on our side. Try again; if it stays, give the request id to the operator.", "服务内部出错。请重试；如仍出现，请把请求编号告诉管理员。")},
	codeNoKey: {http.StatusUnauthorized, say("API key missing", "缺少 API 密钥"),
		say("Send the header \"Authorization: Bearer ons_...\".", "请发送请求头 “Authorization: Bearer ons_...”。")},
	codeBadKey: {http.StatusUnauthorized, say("API key not valid", "API 密钥无效"),
		say("The key is unknown, revoked or expired. Ask an administrator for a new one.", "密钥不存在、已吊销或已过期。请向管理员索取新密钥。")},
	codeRole: {http.StatusForbidden, say("Role missing", "缺少角色"),
		say("This key may not do that.", "此密钥无权执行该操作。")},
	codeNotFound: {http.StatusNotFound, say("Not found", "未找到"),
		say("There is no such thing in your tenant. Check the id.", "您的租户中没有该对象。请检查编号。")},
	codeNoRoute: {http.StatusNotFound, say("No such route", "没有该路径"),
		say("This path is not part of the API; /openapi.json lists all.", "API 中没有该路径；全部路径见 /openapi.json。")},
	codeMethod: {http.StatusMethodNotAllowed, say("Method not allowed", "不支持该方法"),
		say("This path does not take that method; the header Allow lists those that it takes.", "该路径不支持此方法；可用方法见响应头 Allow。")},
	codeInvalid: {http.StatusUnprocessableEntity, say("Request not valid", "请求无效"),
		say("Some fields are missing or wrong; see errors.", "部分字段缺失或有误，详见 errors。")},
	codeUnreadable: {http.StatusBadRequest, say("Request not readable", "请求无法读取"),
		say("The body cannot be read as what its Content-Type says.", "请求体与其 Content-Type 不符，无法读取。")},
	codeNoBody: {http.StatusBadRequest, say("Body missing", "缺少请求体"),
		say("This request needs a body.", "该请求需要请求体。")},
	codeTooLarge: {http.StatusRequestEntityTooLarge, say("Too large", "内容过大"),
		say("The request is larger than this server takes.", "请求超过服务器允许的大小。")},
	codeContentType: {http.StatusUnsupportedMediaType, say("Content type not taken", "不支持的内容类型"),
		say("Send one of the content types that the API description names.", "请使用 API 说明中列出的内容类型。")},
	codeSlow: {http.StatusRequestTimeout, say("Too slow", "发送过慢"),
		say("Nothing came from the client for too long. Send it again.", "长时间未收到数据。请重新发送。")},
	codeGone: {statusClientGone, say("Client went away", "客户端已断开"),
		say("The client closed the connection before the answer.", "客户端在收到响应前断开了连接。")},
	codeExists: {http.StatusConflict, say("Exists already", "已存在"),
		say("There is one with this id already.", "该编号已存在。")},
	codeChanged: {http.StatusPreconditionFailed, say("Changed meanwhile", "内容已被修改"),
		say("Somebody else changed it since you read it. Read it again, then send your change with the new ETag.", "自您读取后内容已被他人修改。请重新读取，并用新的 ETag 提交。")},
	codeIfMatch: {http.StatusPreconditionRequired, say("If-Match missing", "缺少 If-Match"),
		say("Send If-Match with the ETag that you read, or If-None-Match: * to make a new one.", "请用读取到的 ETag 发送 If-Match，新建时发送 If-None-Match: *。")},
	codeErased: {http.StatusGone, say("Subject erased", "人员已删除"),
		say("This subject was erased for good; nothing can be submitted for it.", "该人员已被永久删除，无法再提交。")},
	codeKeyReuse: {http.StatusUnprocessableEntity, say("Idempotency-Key used before", "Idempotency-Key 已使用"),
		say("This Idempotency-Key was sent before with another request. Use a new key for a new request.", "该 Idempotency-Key 已用于另一个请求。新请求请使用新的键。")},
	codeKeyBusy: {http.StatusConflict, say("Same request is running", "相同请求正在处理"),
		say("A request with this Idempotency-Key is being worked on. Wait, then send it again.", "带有该 Idempotency-Key 的请求正在处理。请稍后重发。")},
	codeFull: {http.StatusTooManyRequests, say("Queue full", "队列已满"),
		say("Too many jobs are waiting. Send it again after the time in Retry-After.", "等待中的任务过多。请在 Retry-After 指定的时间后重发。")},
	codeAway: {http.StatusServiceUnavailable, say("Store cannot be reached", "存储暂不可用"),
		say("The request could not be completed. Send it again after the time in Retry-After.", "请求未能完成。请在 Retry-After 指定的时间后重发。")},
	codeNoSpace: {http.StatusServiceUnavailable, say("No space left", "存储空间不足"),
		say("The service has no space for uploads. Nothing was accepted; tell the operator and try later.", "服务没有存储空间，请求未被接收。请通知管理员并稍后重试。")},
	codeCursor: {http.StatusBadRequest, say("Cursor not valid", "游标无效"),
		say("Use a cursor as it was given, with the same filters and the same key's tenant; or begin without one.", "游标须原样使用，且过滤条件与租户须相同；也可不带游标从头开始。")},
	codeNotAllowed: {http.StatusForbidden, say("Not allowed", "不允许"),
		say("This is not allowed.", "不允许执行该操作。")},
	codeBusyStreams: {http.StatusServiceUnavailable, say("Too many open streams", "打开的流过多"),
		say("Too many clients wait for events. Ask again without wait, or later.", "等待事件的客户端过多。请不带 wait 查询或稍后再试。")},
	codeChallenges: {http.StatusTooManyRequests, say("Too many challenges", "任务领取过于频繁"),
		say("This subject was given as many challenges within the last hour as one may get. Wait for the time in Retry-After.", "该人员在过去一小时内领取的任务已达上限。请等待 Retry-After 指定的时间。")},
	codeBusyTenant: {http.StatusTooManyRequests, say("Too many at once", "同时请求过多"),
		say("Your tenant has as many requests of this kind open as it may have. Try again after the time in Retry-After.", "您的租户同时打开的此类请求已达上限。请在 Retry-After 指定的时间后重试。")},
	codeBadSignature: {http.StatusForbidden, say("Signature not valid", "签名无效"),
		say("Use the URL exactly as it was given.", "请原样使用给出的链接。")},
	codeExpired: {http.StatusGone, say("Expired", "已过期"),
		say("This URL has expired. Ask for a new one.", "该链接已过期。请重新获取。")},
	codeUsed: {http.StatusConflict, say("Used already", "已使用"),
		say("This URL was used already; it takes one upload.", "该链接已使用过，只能上传一次。")},
	codeState: {http.StatusConflict, say("Not in this state", "当前状态不允许"),
		say("This cannot be done in the state that it is in.", "当前状态下无法执行该操作。")},
	codeOff: {http.StatusNotFound, say("Not configured", "未配置"),
		say("This is not configured on this server.", "该服务器未配置此功能。")},
	codeNoConsent: {http.StatusForbidden, say("No consent", "未取得同意"),
		say("This person has no consent to face processing in force. Record it first with POST /v1/subjects/{id}/consents; nothing was looked at or stored.",
			"该人员没有有效的人脸处理同意。请先用 POST /v1/subjects/{id}/consents 记录同意；未处理或保存任何内容。")},
	codePhotos: {http.StatusUnprocessableEntity, say("Photos refused", "照片不合格"),
		say("Some photos cannot be enrolled, so none was; see errors.", "部分照片无法登记，因此均未登记，详见 errors。")},
	codeSite: {http.StatusUnprocessableEntity, say("Site refused", "地点不合格"),
		say("Some of the site cannot be used, so nothing was changed; see errors.", "地点中有无法使用的内容，因此未作任何更改，详见 errors。")},
	codePolicy: {http.StatusUnprocessableEntity, say("Policy refused", "策略不合格"),
		say("The policy has mistakes, so nothing was changed; see errors.", "策略有误，因此未作任何更改，详见 errors。")},
	codeBuiltin: {http.StatusConflict, say("Built in", "内置策略"),
		say("A built-in policy is the same everywhere and cannot be changed. Give yours another name.", "内置策略各处一致，不可更改。请使用其他名称。")},
	codeModels: {http.StatusServiceUnavailable, say("Models missing", "缺少模型"),
		say("The models that this needs are not installed on this server. Tell the operator to run \"onsite models install\"; nothing was stored.",
			"该服务器未安装所需模型。请通知管理员运行 “onsite models install”；未保存任何内容。")},
	codeLoading: {http.StatusServiceUnavailable, say("Models being loaded", "正在加载模型"),
		say("The service has just started, and its models are being loaded. Try again after the time in Retry-After; nothing was stored.",
			"服务刚刚启动，正在加载模型。请在 Retry-After 指定的时间后重试；未保存任何内容。")},
	codeForeign: {http.StatusForbidden, say("Bucket not yours", "存储桶不属于您"),
		say("This bucket and prefix cannot be mapped with a key of your tenant. Ask the operator of the service.", "您的租户不能映射该存储桶和前缀。请联系服务管理员。")},
	codeUnsigned: {http.StatusNotFound, say("Not signed yet", "尚未签名"),
		say("The audit log has no signed head that covers this yet. Try again in a few seconds; if it stays, tell the operator.", "审计日志尚无涵盖此内容的签名。请几秒后重试；如仍出现，请告知管理员。")},
	codePending: {http.StatusNotFound, say("No verdict yet", "尚无结论"),
		say("The job is not finished. Ask again later.", "任务尚未完成，请稍后再查。")},
	codeReference: {http.StatusUnprocessableEntity, say("Enrolled photos not usable", "已登记照片无法使用"),
		say("The enrolled photos cannot be used any more; delete them and enrol again.", "已登记的照片无法再使用；请删除后重新登记。")},
	codeUnknown: {http.StatusServiceUnavailable, say("Outcome not known", "结果未知"),
		say("It may have been accepted. Repeat it with the same Idempotency-Key after the time in Retry-After: then it is accepted once.",
			"请求可能已被接收。请在 Retry-After 指定的时间后用相同的 Idempotency-Key 重发，这样只会接收一次。")},
	codeNoVerdict: {http.StatusNotFound, say("No verdict", "没有结论"),
		say("This job ended without a verdict.", "该任务结束时没有结论。")},
}

// statusClientGone is what the log and the metrics say of a client that left; nobody receives it.
const statusClientGone = 499
