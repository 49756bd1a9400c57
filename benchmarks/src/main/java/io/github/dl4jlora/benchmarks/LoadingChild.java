package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Quantization;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.dataset.DataSet;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A child process: prints by how many bytes it grows at most from before a base is read from its file, and quantised meanwhile,
 * to after the first training step on it. Not told how it is kept, writes the file.
 */
final class LoadingChild {

    private LoadingChild() {
    }

    public static void main(String[] args) throws IOException {
        Shape shape = Shape.decode(args[0]);
        Path file = Path.of(args[1]);
        if (args.length == 2) {
            ModelSerializer.writeModel(Networks.base(shape, false), file.toFile(), false);
            System.out.println(Child.RESULT + "written");
            System.exit(0);
        }
        // What ND4J and Java take by themselves is there before.
        Shape small = Shape.of(64);
        LoRA.apply(Networks.base(small, false), Networks.config(small).quantize(Quantization.INT8).build())
                .fit(Networks.batch(small));
        DataSet batch = Networks.batch(shape);
        System.gc();
        Memory.resetPeak();
        long before = Memory.resident();
        MultiLayerNetwork network = (MultiLayerNetwork) LoRA.loadQuantized(file,
                Networks.config(shape).quantize(Quantization.valueOf(args[2])).build());
        network.fit(batch);
        System.out.println(Child.RESULT + (Memory.peak() - before));
        System.exit(0);
    }
}
