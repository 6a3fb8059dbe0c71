-- Returns its argument.
return function(value)
  return value
end
