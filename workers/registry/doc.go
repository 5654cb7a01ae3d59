// Package registry runs the models of the registry in a process: it fetches and warms what an epoch needs (Host), tells the store what it can
// run and sees to it that an epoch becomes active once everybody can (Follower), gives enrolled photos their templates under a model that is to
// be promoted (Keeper), runs candidates beside live jobs (Shadow), and stored jobs under both (Comparer).
//
// A job takes its set of models once, at its beginning, as the epoch that is active then has it, and keeps it to its end. A process that
// lacks a model of that epoch refuses the job. So no verdict is made by two sets, whatever is promoted or rolled back meanwhile.
//
// It may import results and its packages, pipeline, models, workers/core; nothing of the queue or the API.
package registry
