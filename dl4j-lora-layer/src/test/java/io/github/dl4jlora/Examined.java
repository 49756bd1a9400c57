package io.github.dl4jlora;

import io.github.dl4jlora.machine.Doctor;
import io.github.dl4jlora.machine.DoctorTest;
import io.github.dl4jlora.machine.Threads;
import org.nd4j.linalg.factory.Nd4j;

/** A JVM that is examined. Run by {@link DoctorTest}. */
public final class Examined {

    private Examined() {
    }

    /** @param words "settle", to do so first */
    public static void main(String[] words) {
        if (words.length > 0) {
            Threads.settle();
        }
        Nd4j.getRandom().setSeed(5);
        float next = Nd4j.rand(1).getFloat(0);
        Nd4j.getRandom().setSeed(5);
        Doctor report = Doctor.report();
        System.out.println(report);
        System.out.println(report.toJson());
        System.out.println("generator as it was: " + (next == Nd4j.rand(1).getFloat(0)));
        System.exit(0);
    }
}
