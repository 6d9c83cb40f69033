"""A trainable whose answers are known, for the tests of what runs trainables."""

import os

from ray import tune

EPOCHS = 3


class Bowl(tune.Trainable):
    """A bowl in the learning rate whose third trial diverges and whose fourth breaks."""

    def setup(self, config, data, store, threads, device, save_every):
        self.offset = data["offset"]
        self.reset_config(config)

    def reset_config(self, new_config):
        self.number, self.lr, self.epoch = new_config["number"], new_config["config"]["optimiser"]["lr"], 0
        return True

    def step(self):
        self.epoch += 1
        if self.number == 2 and self.epoch == 2:
            return {"infeasible": "loss not finite in epoch 2", "done": True}
        if self.number == 3:
            raise RuntimeError("disk on fire")
        loss = (self.lr - 0.01) ** 2 + self.offset - self.epoch / 100
        measured = dict.fromkeys(("train_loss", "val_accuracy", "val_jaccard", "val_cosine", "lr"), 0.5)
        return measured | {
            "epoch": self.epoch,
            "val_loss": loss,
            "seconds": float(os.getpid()),
            "val_cosine": float(os.nice(0)),
            "done": self.epoch == EPOCHS,
        }
