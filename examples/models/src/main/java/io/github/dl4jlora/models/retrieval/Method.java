package io.github.dl4jlora.models.retrieval;

import java.util.List;

/** How an encoder is taught a task. */
enum Method {

    /** An adapter on query and value. */
    LORA("LoRA", 1e-3, List.of(3e-4, 1e-3, 3e-3)),
    /** All of the encoder's weights, embeddings too. */
    FULL("full fine-tuning", 3e-5, List.of(1e-5, 3e-5, 1e-4));

    /** As tables have it. */
    final String title;
    /** Adam's learning rate where none is given, not tuned. */
    final double usual;
    /** Adam's learning rates, with which the search for the best begins. */
    final List<Double> rates;

    Method(String title, double usual, List<Double> rates) {
        this.title = title;
        this.usual = usual;
        this.rates = rates;
    }
}
