"""The mathematics: activations, costs, optimizers, schedules and initializers, each written once as a formula."""
