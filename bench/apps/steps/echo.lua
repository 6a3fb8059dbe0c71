return {
  main = function(value)
    return value
  end,
}
