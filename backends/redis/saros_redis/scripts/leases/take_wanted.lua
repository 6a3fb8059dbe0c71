-- {wanted} gives what was wanted and is there.
return take_wanted(input[1])
