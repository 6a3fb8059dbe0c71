-- {run id}: the facts of a run.
return call("HGET", key("m", input[1]), "run")
