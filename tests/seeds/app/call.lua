local result, err = workflow.call("app:child_workflow", input_data)
