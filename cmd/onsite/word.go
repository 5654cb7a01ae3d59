package main

import (
	"onsite/pipeline"
	rules "onsite/pipeline/policy"
)

// Words of an answer that are codes in JSON and in the options of filters: in English tables they stand as they are, in Chinese ones they are said.

var jobStates = map[string]string{
	"accepted": "已受理", "queued": "排队中", "running": "核验中", "done": "已完成", "refused": "已拒绝", "dead": "已放弃",
}

var markKinds = map[string]string{"pair": "两段录像", "background": "背景"}

var modelStates = map[string]string{
	"added": "已添加", "checked": "已检查", "shadow": "旁路试运行", "canary": "灰度", "active": "启用中", "standby": "待命", "retired": "已停用",
}

var modelScopes = map[string]string{"tenant": "本租户", "installation": "整个安装"}

var keyStates = map[string]string{"valid": "有效", "revoked": "已撤销", "expired": "已过期"}

// coded gives a code in both languages; one that has no words stands as it is.
func coded(chinese map[string]string, code string) pipeline.Text {
	if zh, ok := chinese[code]; ok {
		return pipeline.Text{EN: code, ZH: zh}
	}
	return pipeline.Text{EN: code, ZH: code}
}

// decided gives a decision: its code in English, its name in Chinese.
func decided(d pipeline.Decision) pipeline.Text {
	return pipeline.Text{EN: string(d), ZH: rules.DecisionTitle(d).ZH}
}

func yesNo(v bool) pipeline.Text {
	if v {
		return pipeline.Text{EN: "yes", ZH: "是"}
	}
	return pipeline.Text{EN: "no", ZH: "否"}
}
