-- {id}: 1 when the execution runs.
return running(input[1]) and 1 or 0
