process.send(workflow_pid, "approve", {
    approved_by = "admin",
    comment = "Looks good"
})
