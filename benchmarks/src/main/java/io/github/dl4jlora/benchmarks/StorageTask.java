package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/** Timings on an unquantised base, and on the same base quantised. */
enum StorageTask {

    STEP("training step, 2048 wide, 32 rows", Shape.of(2048), Double.NaN, 1.00, Double.NaN),
    TRANSFORMER_STEP("training step, transformer's shapes, 2,048 rows", Shape.transformer(), 1.08, 1.08, 1.25),
    ONE_ROW("forward pass of one row, 2048 wide", Shape.square(2048, 3, 1, 8, "Adam"), 0.55, 0.20, 1.2) {
        @Override
        Runnable work(Quantization scheme) {
            MultiLayerNetwork network = network(scheme);
            DataSet row = Networks.batch(shape());
            return () -> network.output(row.getFeatures());
        }
    };

    private final String title;
    private final Shape shape;
    private final double bf16;
    private final double int8;
    private final double nf4;

    /**
     * @param bf16 the longest time with BF16, relative to the unquantised base; NaN if nothing is promised
     * @param int8 the same for INT8
     * @param nf4  the same for NF4
     */
    StorageTask(String title, Shape shape, double bf16, double int8, double nf4) {
        this.title = title;
        this.shape = shape;
        this.bf16 = bf16;
        this.int8 = int8;
        this.nf4 = nf4;
    }

    String title() {
        return title;
    }

    Shape shape() {
        return shape;
    }

    double limit(Quantization scheme) {
        return switch (scheme) {
            case BF16 -> bf16;
            case INT8 -> int8;
            case NF4 -> nf4;
        };
    }

    /** @param scheme null for no quantisation */
    MultiLayerNetwork network(Quantization scheme) {
        return LoRA.apply(Networks.base(shape, false), Networks.config(shape).quantize(scheme).build());
    }

    /** @param scheme null for no quantisation */
    Runnable work(Quantization scheme) {
        MultiLayerNetwork network = network(scheme);
        DataSet batch = Networks.batch(shape);
        return () -> network.fit(batch);
    }
}
