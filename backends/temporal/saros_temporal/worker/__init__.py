"""Workers: the SDK's workers, the activities that they run, and the runner of workflows."""
