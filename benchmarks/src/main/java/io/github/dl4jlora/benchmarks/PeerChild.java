package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A child process that takes turns: times a training step of a {@link PeerTask} on a {@link Side}, and a forward pass. With
 * a folder as third argument it writes there what layers.py needs to compute the same: features, parameters, loss and gradients,
 * each in a file of NumPy.
 */
final class PeerChild {

    private PeerChild() {
    }

    public static void main(String[] args) throws IOException {
        PeerTask task = PeerTask.valueOf(args[0]);
        Side side = Side.valueOf(args[1]);
        if (args.length == 2) {
            MultiLayerNetwork network = task.network(side);
            DataSet data = task.data();
            Clock.takeTurns(() -> network.fit(data), () -> network.output(data.getFeatures()));
        } else {
            System.out.println(Child.RESULT + written(task, side, Path.of(args[2])));
        }
        System.exit(0);
    }

    private static String written(PeerTask task, Side side, Path folder) throws IOException {
        MultiLayerNetwork base = task.base();
        MultiLayerNetwork network = task.adapted(base, side);
        // B is zero at the start, and with it the gradient of A.
        Nd4j.getRandom().setSeed(5);
        network.setParams(network.params().add(Nd4j.randn(network.params().shape()).muli(0.02)));
        DataSet data = task.data();
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.computeGradientAndScore();
        write(data.getFeatures(), folder, "features");
        write(Nd4j.scalar((float) network.score()), folder, "loss");
        for (var parameter : base.paramTable().entrySet()) {
            write(parameter.getValue(), folder, parameter.getKey());
        }
        for (var parameter : network.paramTable().entrySet()) {
            write(parameter.getValue(), folder, parameter.getKey());
        }
        for (var gradient : network.gradient().gradientForVariable().entrySet()) {
            // The updater divides by the batch.
            write(gradient.getValue().div(task.batch()), folder, "gradient_" + gradient.getKey());
        }
        return folder.toString();
    }

    private static void write(INDArray array, Path folder, String name) throws IOException {
        Nd4j.writeAsNumpy(array.dup('c'), folder.resolve(name + ".npy").toFile());
    }
}
