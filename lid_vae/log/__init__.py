"""What is recorded of a training, and where: CSV, TensorBoard, wandb, and a line of progress on the terminal."""
