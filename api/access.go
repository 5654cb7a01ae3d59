package api

import (
	"fmt"

	"onsite/results"
)

// Roles as the table below writes them.
const (
	submit      = results.RoleSubmit
	read        = results.RoleRead
	notice      = results.RoleNotice
	investigate = results.RoleInvestigate
	audit       = results.RoleAudit
	modelsRole  = results.RoleModels
	admin       = results.RoleAdmin
)

// public marks operations that need no API key: they have a signature or a secret of their own.
const public results.Role = "public"

// access says who may call which operation, by its id. Admin may call all of them and need not be named, but where nobody else may.
// An operation that is not here cannot be registered.
var access = join(accessWork, accessConfiguration, accessModels)

// accessWork is the part about submissions, jobs and verdicts.
var accessWork = map[string][]results.Role{
	opSubmit:       {submit},
	opChallenge:    {submit},
	opChallengeGet: {submit, read, investigate, audit},
	opUpload:       {submit},
	opUploadGet:    {submit, read, investigate, audit},
	opUploadPut:    {public}, // its URL is signed
	opUploadPost:   {public},
	opEvents:       {public}, // has a secret of its own
	opJobs:         {submit, read, investigate, audit},
	opJob:          {submit, read, investigate, audit},
	opJobSSE:       {submit, read, investigate, audit},
	opRequeue:      {admin},
	opDead:         {investigate, audit},
	opVerdicts:     {read, investigate, audit},
	opVerdict:      {read, investigate, audit},
	opRevisions:    {read, investigate, audit},
	opChanges:      {read, investigate, audit},
	opExport:       {read, investigate, audit},
	opNotice:       {notice},
	opKeyframe:     {investigate}, // pictures of people: not for whoever may read
	opMedia:        {investigate},
	opEvidence:     {investigate},
	opReverify:     {investigate, audit},

	opReverifications: {investigate, audit},
	opMark:            {investigate},
	opMarks:           {investigate, audit},
	opUnmark:          {investigate},
}

func join(parts ...map[string][]results.Role) map[string][]results.Role {
	out := map[string][]results.Role{}
	for _, part := range parts {
		for id, roles := range part {
			if _, twice := out[id]; twice {
				panic(fmt.Sprintf("operation %q stands twice in the access table", id))
			}
			out[id] = roles
		}
	}
	return out
}
