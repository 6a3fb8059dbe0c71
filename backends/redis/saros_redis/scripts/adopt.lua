-- {parent id, child id, parent close policy}: the parent's end concerns the child.
if running(input[1]) then
  call("HSET", key("ch", input[1]), input[2], input[3])
end
return 1
