-- {wanted}: returns the wanted tasks that are available.
return take_wanted(input[1])
