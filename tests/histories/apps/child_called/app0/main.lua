local funcs, time, json, ctx = require("funcs"), require("time"), require("json"), require("ctx")
return { main = function(...)
local input = ...
local workflow = require("workflow")
local good = workflow.call("app:child", {n = 20})
local none, err = workflow.call("app:child", {fail = true})
local missing, nerr = workflow.exec("app:nothing")
return {good, none == nil, err:kind(), err:details().why, missing == nil, nerr:kind()}
end }
