package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/** A network whose training is planned, and then measured. */
enum PlanTask {

    WIDE_1024(Shape.of(1024)),
    WIDE_2048(Shape.of(2048)),
    TRANSFORMER(Shape.transformer()),
    IMAGES(LayerTask.IMAGES),
    LSTM(LayerTask.LSTM);

    private static final int RANK = 8;

    private final Shape shape;
    private final LayerTask task;

    PlanTask(Shape shape) {
        this.shape = shape;
        this.task = null;
    }

    PlanTask(LayerTask task) {
        this.shape = null;
        this.task = task;
    }

    String title() {
        return shape == null ? task.title() : shape.layers() + " layers, " + shape.name() + ", " + shape.rows() + " rows";
    }

    MultiLayerNetwork base() {
        return shape == null ? task.base() : Networks.base(shape, false);
    }

    LoRAConfig config() {
        return shape == null ? LoRAConfig.builder().rank(RANK).targets(task.adapted()).build() : Networks.config(shape).build();
    }

    DataSet data() {
        return shape == null ? task.data() : Networks.batch(shape);
    }

    /** The input types that a plan needs; none if dense layers show them. */
    InputType[] inputs() {
        return shape == null ? new InputType[] {task.input()} : new InputType[0];
    }
}
