package io.github.dl4jlora.examples.ui;

import io.github.dl4jlora.examples.TrainingPages;

/** Found by ServiceLoader. */
public final class VertxTrainingPagesProvider implements TrainingPages.Provider {

    @Override
    public TrainingPages open(int port) {
        return new VertxTrainingPages(port);
    }
}
