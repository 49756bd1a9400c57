package io.github.dl4jlora.benchmarks.figures;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A command of Maven, and where its tables are.
 *
 * @param module  what {@code -pl} names, with the profiles before it
 * @param program the execution of the exec plugin
 * @param args    of the program; ROUNDS and FOLDER stand for the number of rounds and for a folder of the part's own
 * @param title   of the printed tables; the empty string if the program writes report.md into FOLDER
 * @param label   what each row's name gets behind it, to tell it from other commands' rows; may be empty
 * @param told    printed lines that are figures too, in a table of their own; null if there are none
 * @param hasSeed whether the program has the option {@code --seed}, and figures that depend on it
 */
record Task(String module, String program, String args, String title, String label, Pattern told, boolean hasSeed) {

    /** Parts of the comparison with DL4J, PyTorch and ONNX Runtime. */
    static Task compare(String args) {
        return once(args + " --rounds ROUNDS");
    }

    /** Parts of the same in which everything is measured once. */
    static Task once(String args) {
        return new Task("-pl benchmarks", "compare", args + " --output FOLDER", "", "", null, false);
    }

    static Task printing(String title, String module, String program, String args) {
        return new Task(module, program, args, title, "", null, false);
    }

    Task ofSeeds() {
        return new Task(module, program, args, title, label, told, true);
    }

    /** {@return this command with a seed} */
    Task withSeed(String seed) {
        return new Task(module, program, (args + " --seed " + seed).strip(), title, label, told, hasSeed);
    }

    Task labelled(String rows) {
        return new Task(module, program, args, title, rows, told, hasSeed);
    }

    Task telling(String lines) {
        return new Task(module, program, args, title, label, Pattern.compile(lines), hasSeed);
    }

    boolean writesReport() {
        return title.isEmpty();
    }

    /** The command, as a page would name it. */
    String line(String rounds, Path folder) {
        String told = told(rounds, folder);
        return "mvn -q " + module + " -am compile exec:exec@" + program + (told.isEmpty() ? "" : " -Dargs=\"" + told + "\"");
    }

    /** The command's words. */
    List<String> words(String rounds, Path folder) {
        List<String> words = new ArrayList<>(List.of("mvn", "-q"));
        words.addAll(List.of(module.split(" ")));
        words.addAll(List.of("-am", "compile", "exec:exec@" + program));
        String told = told(rounds, folder);
        if (!told.isEmpty()) {
            words.add("-Dargs=" + told);
        }
        return words;
    }

    private String told(String rounds, Path folder) {
        return args.replace("ROUNDS", rounds).replace("FOLDER", folder.toString());
    }
}
